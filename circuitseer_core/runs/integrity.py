"""Is every table of a run as it was written? What is damaged, and how each is made again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from circuitseer_core.checksums import is_whole

_TABLES = (
    ("pool.parquet", "is for viewing only: delete it"),
    ("probe.parquet", "everything was measured on it: start another run"),
    ("heads.parquet", "detect --run {run} makes it again from the measurements"),
    ("importance/part-all.parquet", "delete it, and detect --run {run} measures again"),
    ("importance/part-*.parquet", "detect --run {run} measures this part again"),
    ("scores/*/part-*.parquet", "score --run {run} --name {folder} scores this part again"),
    ("scores/*/rejects.parquet", "score --run {run} --name {folder} writes it again"),
    ("selections/*/*.parquet", "select --run {run} --name {folder} draws it again"),
    ("experiments/*.parquet", "validate --run {run} {stem} computes it again"),
)
"""Pattern of files, and what to do about a damaged one; of two that fit the first counts."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged file (relative to the run) and how to get it again."""

    file: str
    remedy: str


@dataclass(slots=True)
class RunCheck:
    """How many tables are as they were written, how many carry no checksum, which are damaged."""

    whole: int = 0
    unsigned: int = 0
    damaged: list[Damage] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no damage was found."""
        return not self.damaged


def check_run(run_path: Path) -> RunCheck:
    """Read every table of a run against its checksum; what did not change is read once a process.

    Tables made before checksums, or by other hands, have none: they count as unsigned where they
    can be opened.
    """
    result = RunCheck()
    for path, remedy in tables(run_path):
        state = is_whole(path)
        if state is None:
            result.unsigned += 1
        elif state:
            result.whole += 1
        else:
            result.damaged.append(Damage(path.relative_to(run_path).as_posix(), remedy))
    return result


def tables(run_path: Path) -> Iterator[tuple[Path, str]]:
    """The tables of a run, each with what makes it again."""
    seen: set[Path] = set()
    for pattern, remedy in _TABLES:
        for path in sorted(run_path.glob(pattern)):
            if path not in seen:
                seen.add(path)
                yield path, remedy.format(run=run_path, folder=path.parent.name, stem=path.stem)


def remedy_for(run_path: Path, path: Path) -> str:
    """What makes a table of a run again."""
    return next((remedy for file, remedy in tables(run_path) if file == path), "make it again")
