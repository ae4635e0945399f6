"""The commands that made a scoring, or a selection of it, in the order in which they are typed.

What each of them made keeps its own command, so a run's other work is not among them. Runs of
before that was kept have only a list of everything that was typed: the last of each stage stands
in.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import pairwise

from circuitseer_core.errors import UserError
from circuitseer_core.runs.cluster_records import CLUSTER
from circuitseer_core.runs.clusters import cluster_record
from circuitseer_core.runs.columns import CALIBRATED
from circuitseer_core.runs.commands import as_typed
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import HeadsSource, ScoringRecord
from circuitseer_core.runs.selection_records import SelectionRecord


def made_by(
    run: Run, scores: str | None = None, selection: SelectionRecord | None = None
) -> list[str]:
    """The commands that make a run's heads, a scoring of it, and one selection.

    Args:
        scores: the scoring, with every column that was added to it.
        selection: the selection in its place, with the columns that it was drawn by alone.
    """
    commands = list(_detected(run))
    if selection is not None:
        commands += _drawn(run, selection, set())
    elif scores is not None:
        commands += _scored(run, scores, None, set())
    return list(dict.fromkeys(command for command in commands if command))


def _last(run: Run, *stages: str) -> str | None:
    """The last command of these stages that was typed."""
    typed = {entry.stage: entry.command for entry in run.record.commands if entry.command}
    return next((typed[stage] for stage in stages if stage in typed), None)


def _detected(run: Run) -> Iterator[str | None]:
    yield run.detection.command or _last(run, "detect", "pull-heads")


def _drawn(run: Run, selection: SelectionRecord, seen: set[object]) -> Iterator[str | None]:
    """A selection, after that whose lengths it has and what it was drawn by."""
    matched = selection.lengths.of if selection.lengths else None
    if matched is not None and matched not in seen and matched in run.selections():
        with suppress(UserError):  # its scoring may be gone since
            yield from _drawn(run, run.selection(matched), seen | {selection.name, matched})
    by = {selection.settings.scorer} | ({CLUSTER} & {selection.settings.stratify_by})
    yield from _scored(run, selection.scores, by, set())
    yield selection.command


def _scored(
    run: Run, scores: str, columns: Collection[str] | None, seen: set[object]
) -> Iterator[str | None]:
    """A scoring, and what gave it these added columns (None: all but clusters)."""
    scoring = run.scoring(scores)
    command = scoring.command or _last(run, "score")
    words = _words(command)
    yield _pulled(scoring.heads_from, _option(words, "--heads-from"))
    at_once = _option(words, "--calibration")
    if at_once is not None:
        yield from _fitted(run, at_once, seen)
    yield command
    for done in scoring.imported:
        if columns is None or set(columns) & set(done.columns):
            yield done.command
    if columns is None or CALIBRATED in columns:
        yield from _calibrated(run, scores, scoring, at_once, seen)
    if columns is not None and CLUSTER in columns:
        clusters = cluster_record(run, scores)
        yield clusters.command if clusters else None


def _calibrated(
    run: Run, scores: str, scoring: ScoringRecord, at_once: str | None, seen: set[object]
) -> Iterator[str | None]:
    """What gave a scoring the column ``calibrated``, where that was not the scoring itself."""
    applied = scoring.calibration
    if applied is None or applied.name == at_once:
        return
    yield from _fitted(run, applied.name, seen)
    if (
        applied.name in run.calibrations()
        and run.calibration(applied.name).settings.scores == scores
    ):
        return  # the fit has applied itself
    yield as_typed(["calibrate", "--run", str(run.path), "--name", applied.name, "--apply", scores])


def _fitted(run: Run, name: str, seen: set[object]) -> Iterator[str | None]:
    """A calibration, after the scoring that it was fitted on."""
    with suppress(UserError):  # it is gone since, or its scoring
        record = run.calibration(name)
        if name not in seen:
            of = record.settings
            yield from _scored(run, of.scores, {of.target}, seen | {name})
        yield record.command


def _pulled(source: HeadsSource | None, folder: str | None) -> str | None:
    """What fetches a head map that a scoring took its heads from."""
    if source is None or folder is None or source.repo is None:
        return None
    return as_typed(pull_words(source, ["--out", folder]))


def pull_words(source: HeadsSource, further: Collection[str] = ()) -> list[str]:
    """The command that fetches a head map from the Hub, after the program's name."""
    at = f"@{source.revision}" if source.revision else ""
    return ["pull-heads", f"{source.repo}{at}", *further]


def _words(command: str | None) -> list[str]:
    try:
        return shlex.split(command or "")
    except ValueError:  # a call from Python
        return []


def _option(words: list[str], flag: str) -> str | None:
    """The value behind a flag."""
    return next((value for name, value in pairwise(words) if name == flag), None)
