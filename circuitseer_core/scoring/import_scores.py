"""Scores that were made elsewhere, joined to a scoring as columns: rewards, pass rates, ratings.

A row of the file is joined by its id (the run's id, or the data's own where it is unambiguous),
else by its prompt, the same but for case and spacing. What is joined and what is not is counted;
rows of the pool of which the file says two different things get no score.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from circuitseer_core.aliases import Floats
from circuitseer_core.data.fields import (
    Fields,
    RowProblem,
    prompt_and_response,
    recognise,
    recognise_as,
)
from circuitseer_core.data.prompts import text_hash
from circuitseer_core.data.row_ids import id_of, own_ids
from circuitseer_core.errors import UserError
from circuitseer_core.files import user_path
from circuitseer_core.hashing import file_hash
from circuitseer_core.runs.commands import Option, as_typed
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.progress import Progress, begin_step
from circuitseer_core.runs.reading import scored_fields
from circuitseer_core.runs.records import ImportedScores, ImportFile, ScoringRecord
from circuitseer_core.runs.settings_file import write_settings
from circuitseer_core.runs.shard_columns import put_columns
from circuitseer_core.runs.texts import pool_prompts
from circuitseer_core.scoring.import_columns import columns_to_import, finite_number, rows_of

_EXAMPLES = 3
IMPORT_STEPS = 3
"""Steps that a join tells of while it is made."""


class ImportSettings(BaseModel):
    """How a file's scores are joined; names follow the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scores: str = Field("default", description="Which scoring gets the columns.")
    columns: Annotated[tuple[str, ...], Option(flag="--column")] = Field(
        (), description="COLUMN or NAME=COLUMN; every number column where none is given."
    )
    by: Literal["auto", "id", "prompt"] = Field(
        "auto", description="What rows are joined by; auto: by id, else by prompt."
    )
    id_field: str | None = Field(None, description="The file's column of ids.")
    prompt_field: str | None = Field(None, description="The file's column of prompts.")
    rank: bool = Field(
        False, description="Keep ranks between 0 and 1, for scores that can be negative."
    )
    replace: bool = Field(False, description="Columns that were imported before give way.")


@dataclass(slots=True)
class _Joined:
    """What has been joined so far; ``values`` (N,) a column, ``twice`` (N,): said differently."""

    values: dict[str, Floats]
    twice: dict[str, NDArray[np.bool_]]
    rows: int = 0
    by_id: int = 0
    by_prompt: int = 0
    ambiguous: int = 0
    no_number: int = 0
    unmatched: list[str] = field(default_factory=list)
    lost: int = 0


def import_scores(
    run: Run, files: Sequence[str], settings: ImportSettings, progress: Progress | None = None
) -> tuple[ImportedScores, list[str]]:
    """Join the scores in ``files`` to a scoring; returns the record and what to tell a person.

    Raises:
        UserError: the scoring is not finished, a file cannot be read, a column is missing, holds no
            numbers or has a name that is taken, or no row could be joined.
    """
    scoring = run.scoring(settings.scores)
    if scoring.state != "done":
        raise UserError(f"scoring {settings.scores!r} is not finished: run score again")
    read_by = scored_fields(run, settings.scores)
    columns = columns_to_import(
        files, scoring, settings.columns,
        joined_by=(settings.id_field, settings.prompt_field, read_by.id, read_by.prompt),
        replace=settings.replace,
    )  # fmt: skip
    pool = _Pool.of(run, settings)
    n = len(pool.ids)
    joined = _Joined(
        {name: np.full(n, np.nan) for name in columns},
        {name: np.zeros(n, dtype=bool) for name in columns},
    )
    begin_step(progress, "Joining rows")
    for where, row in rows_of(files):
        _join(joined, pool, where, row, columns, settings)
    if not joined.by_id + joined.by_prompt:
        raise UserError(
            f"none of {joined.rows:,} rows could be joined: ids of the run look like "
            f"{pool.ids[0]!r}; the first unmatched row is {joined.unmatched[0]}"
        )
    for name, values in joined.values.items():
        values[joined.twice[name]] = np.nan
        if settings.rank:
            from scipy.stats import rankdata

            known = np.isfinite(values)
            values[known] = (rankdata(values[known]) - 0.5) / max(1, int(known.sum()))
    record = _record(joined, files, settings, columns, run)
    begin_step(progress, "Writing the columns")
    _write(run, scoring, settings.scores, joined.values, record)
    folder = imported_folder(run, settings.scores, record)
    write_settings(folder, "import-scores", run.path, settings, files=list(files))
    return record, _summary(record, joined, n)


def imported_folder(run: Run, scores: str, record: ImportedScores) -> Path:
    """Where the settings of an import are kept: by its first column."""
    return run.scores_dir(scores) / "imported" / next(iter(record.columns))


@dataclass(frozen=True, slots=True)
class _Pool:
    """Rows of the scoring by every name that a file may call them by.

    ``known``: the field names that the scoring's data was read with.
    """

    known: Fields
    ids: list[str]
    by_id: Mapping[str, int]
    by_own: Mapping[str, int | None]
    by_prompt: Mapping[int, list[int]]

    @classmethod
    def of(cls, run: Run, settings: ImportSettings) -> _Pool:
        frame = run.scores(settings.scores, ["id", "source"])
        ids = frame["id"].astype(str).tolist()
        own = own_ids(zip(ids, frame["source"].astype(str), strict=True))
        prompts: dict[int, list[int]] = {}
        if settings.by != "id":
            hashes = pool_prompts(run, settings.scores)
            for row, value in enumerate([] if hashes is None else hashes.tolist()):
                if value:
                    prompts.setdefault(value, []).append(row)
        known = scored_fields(run, settings.scores)
        return cls(known, ids, {name: row for row, name in enumerate(ids)}, own, prompts)


def _join(
    joined: _Joined,
    pool: _Pool,
    where: str,
    row: Mapping[str, Any],
    columns: Mapping[str, str],
    settings: ImportSettings,
) -> None:
    """Put one row's numbers where they belong."""
    joined.rows += 1
    at: list[int] = []
    name = id_of(row, settings.id_field, pool.known.id) if settings.by != "prompt" else None
    if name is not None:
        row_number = pool.by_id.get(name)
        if row_number is None and isinstance(source := row.get("source"), str):
            row_number = pool.by_id.get(f"{source}/{name}")
        if row_number is None and name in pool.by_own:
            row_number = pool.by_own[name]
            joined.ambiguous += row_number is None
        at = [] if row_number is None else [row_number]
        joined.by_id += bool(at)
    if not at and settings.by != "id":
        at = pool.by_prompt.get(_prompt_of(row, settings, pool.known), [])
        joined.by_prompt += bool(at)
    if not at:
        joined.lost += 1
        if len(joined.unmatched) < _EXAMPLES:
            joined.unmatched.append(where)
        return
    for name, column in columns.items():
        number = finite_number(row.get(column), truths=True)
        if number is None:
            joined.no_number += row.get(column) not in (None, "")
            continue
        values, twice = joined.values[name], joined.twice[name]
        for spot in at:
            if np.isnan(values[spot]):
                values[spot] = number
            else:
                twice[spot] |= values[spot] != number


def _prompt_of(row: Mapping[str, Any], settings: ImportSettings, known: Fields) -> int:
    """The hash of the row's prompt; 0, which no row has, without one."""
    if settings.prompt_field is not None:
        layout = recognise(tuple(row), Fields(prompt=settings.prompt_field))
    else:
        layout = recognise_as(tuple(row), known)
    if layout is None:
        return 0
    try:
        return text_hash(prompt_and_response(row, layout)[0])
    except RowProblem:
        return 0


def _record(
    joined: _Joined,
    files: Sequence[str],
    settings: ImportSettings,
    columns: Mapping[str, str],
    run: Run,
) -> ImportedScores:
    words = ["import-scores", *files, "--run", str(run.path), "--scores", settings.scores]
    words += [w for name, column in columns.items() for w in ("--column", f"{name}={column}")]
    words += ["--by", settings.by, *(["--rank"] if settings.rank else [])]
    for flag, value in (
        ("--id-field", settings.id_field),
        ("--prompt-field", settings.prompt_field),
    ):
        words += [] if value is None else [flag, value]
    return ImportedScores(
        columns=dict(columns),
        files=[_file(spec) for spec in files],
        ranks=settings.rank,
        rows=joined.rows,
        by_id=joined.by_id,
        by_prompt=joined.by_prompt,
        unmatched=joined.lost,
        ambiguous=joined.ambiguous,
        no_number=joined.no_number,
        scored={name: int(np.isfinite(v).sum()) for name, v in joined.values.items()},
        conflicting={name: int(mask.sum()) for name, mask in joined.twice.items()},
        created=now(),
        command=as_typed(words),
    )


def _file(spec: str) -> ImportFile:
    path = user_path(spec)
    seal = file_hash(path) if os.path.isfile(path) else None
    return ImportFile(file=spec, sha256=seal)


def _write(
    run: Run,
    scoring: ScoringRecord,
    scores: str,
    values: Mapping[str, Floats],
    record: ImportedScores,
) -> None:
    """The columns into the shards, and settings.json that names them."""
    changed = scoring.model_copy(deep=True)
    changed.scorers = [*(name for name in scoring.scorers if name not in values), *values]
    earlier = (_without(kept, values) for kept in scoring.imported)
    changed.imported = [*(kept for kept in earlier if kept.columns), record]
    put_columns(run, scores, values, changed)


def _without(kept: ImportedScores, names: Collection[str]) -> ImportedScores:
    """An earlier import less the columns that gave way, also in its command."""
    gone = {name: column for name, column in kept.columns.items() if name in names}
    if not gone:
        return kept
    less = kept.model_copy(deep=True)
    for part in ("columns", "scored", "conflicting"):
        setattr(less, part, {k: v for k, v in getattr(kept, part).items() if k not in gone})
    words = shlex.split(kept.command or "")
    for item in (f"{name}={column}" for name, column in gone.items()):
        if item in words:
            at = words.index(item)
            del words[at - 1 : at + 1]
    less.command = shlex.join(words) or None
    return less


def _summary(record: ImportedScores, joined: _Joined, n: int) -> list[str]:
    matched = record.by_id + record.by_prompt
    first = (
        f"{matched:,} of {record.rows:,} rows joined ({record.by_id:,} by id, "
        f"{record.by_prompt:,} by prompt), {record.unmatched:,} unmatched"
    )
    lines = [first]
    if joined.unmatched:
        lines.append(f"unmatched, the first: {', '.join(joined.unmatched)}")
    if record.ambiguous:
        lines.append(f"{record.ambiguous:,} ids are those of several sources: not joined by id")
    if record.no_number:
        lines.append(f"{record.no_number:,} values are no numbers and were passed over")
    for name, scored in record.scored.items():
        line = f"scorer {name}: {scored:,} of {n:,} samples have one"
        if conflicts := record.conflicting[name]:
            line += f"; {conflicts:,} of which the file says different things have none"
        lines.append(line)
    return lines
