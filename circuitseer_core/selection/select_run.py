"""A selection of a run: drawn from its scores, written to ``RUN/selections/NAME``.

Two passes: the first reads ids, sources, lengths and one scorer's column (and streams the prompts
once, for duplicates and lists of texts, keeping 8 bytes a row); texts are fetched only when the
subset is exported, for the chosen rows alone.

What lists and judgements by eye came to is kept beside the subset (``lists.parquet``): both change
after the draw, and the subset must be derivable without them.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from circuitseer_core.correlation import control_agreement
from circuitseer_core.errors import UserError
from circuitseer_core.files import replace_folder, write_parquet
from circuitseer_core.runs.columns import control_columns
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.progress import Progress, begin_step
from circuitseer_core.runs.records import ScoringRecord, unless_broken
from circuitseer_core.runs.selection_records import (
    SELECTION_FORMAT,
    ControlCorrelation,
    Counts,
    ListsRecord,
    SelectionOptions,
    SelectionRecord,
)
from circuitseer_core.runs.settings_file import write_settings
from circuitseer_core.runs.stage import versions
from circuitseer_core.selection.diagnostics import diagnose
from circuitseer_core.selection.draw import Drawing, draw
from circuitseer_core.selection.go_no_go import measured
from circuitseer_core.selection.ids import ids_frame, ids_hash
from circuitseer_core.selection.length_target import target_in_run
from circuitseer_core.selection.lists import (
    lists_frame,
    lists_hash,
    read_lists,
    run_rules,
)
from circuitseer_core.selection.pool import load_pool, pool_hash
from circuitseer_core.selection.removals import REMOVED_FILE, removals_record, removed_frame
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.strata import clusters_drawn_by

SELECT_STEPS = 5
"""Steps that a draw tells of while it is made."""


def select_run(
    run: Run, settings: SelectionSettings, progress: Progress | None = None, *, replace: bool = True
) -> SelectionRecord:
    """Draw, diagnose and write one selection; returns its ``selection.json``.

    A selection of the same name is replaced, in one rename (``refuse_other`` asks first).

    Args:
        replace: whether one of the same name may give way to other rows; an export of it would no
            longer verify.

    Raises:
        UserError: no such scoring or scorer, a list cannot be read, the draw is impossible, or it
            would replace other rows.
    """
    started = time.monotonic()
    scoring = _finished(run, settings)
    everyone = load_pool(run, settings)
    begin_step(progress, "Reading lists and benchmarks")
    named = read_lists(settings, run)
    rules = run_rules(run, settings, named)
    target = target_in_run(run, settings, everyone, rules)
    begin_step(progress, "Drawing")
    drawing = draw(everyone, settings, rules, target=target)
    frame = ids_frame(drawing)
    removed = removed_frame(everyone, drawing.sifted, rules.contamination)
    lists = lists_frame(everyone, drawing)
    begin_step(progress, "Drawing with other seeds")
    diagnostics = diagnose(drawing)
    diagnostics.control = control_correlation(run, settings)
    begin_step(progress, "Weighing the draw up")
    summary = SelectionRecord(
        format=SELECTION_FORMAT,
        name=settings.name,
        created=now(),
        settings=SelectionOptions(**settings.model_dump(mode="json")),
        temperature=drawing.temperature,
        scores=settings.scores,
        text=scoring.text,
        counts=_counts(scoring, drawing, frame),
        prompts_compared=everyone.prompt is not None,
        lists=ListsRecord(sha256=lists_hash(lists), rows=len(lists), files=named.files(everyone)),
        removals=removals_record(removed, rules.contamination, everyone.near),
        lengths=target,
        clusters=clusters_drawn_by(run, settings),
        pool_hash=pool_hash(everyone),
        ids_hash=ids_hash(frame["id"]),
        diagnostics=diagnostics,
        command=settings.command(run.path),
        python=settings.python(run.path),
        versions=versions(),
    )
    if not replace:
        _refuse_other_rows(run, summary)
    summary.distinct, summary.distinct_unknown = measured(run, settings, drawing)
    summary.seconds = round(time.monotonic() - started, 3)
    tables = {"ids.parquet": frame, "lists.parquet": lists}
    tables |= {REMOVED_FILE: removed} if summary.removals is not None else {}
    _write(run, settings, tables, summary)
    return summary


def _counts(scoring: ScoringRecord, drawing: Drawing, frame: pd.DataFrame) -> Counts:
    return Counts(
        rejected=scoring.rejected,
        **drawing.sifted.counts,
        selected=len(frame),
        tokens=int(frame["tokens"].sum()),
    )


def _finished(run: Run, settings: SelectionSettings) -> ScoringRecord:
    scoring = run.scoring(settings.scores)
    if scoring.state != "done":
        raise UserError(
            f"scoring {settings.scores!r} is not finished: run score --run {run.path} again"
        )
    return scoring


_HOW_TO_KEEP = (
    "--replace (replace=True) draws it anew, another --name (in Python save= or name=) keeps both"
)


def _kept(run: Run, name: str) -> SelectionRecord | None:
    """The selection of this name; None without one, or where it is broken and may be replaced.

    Raises LaterFormatError for one that a later version drew.
    """
    return unless_broken(lambda: run.selection(name)) if name in run.selections() else None


def refuse_other(run: Run, settings: SelectionSettings) -> None:
    """Raise UserError where the name belongs to a draw with other settings, naming them."""
    kept = _kept(run, settings.name)
    if kept is None:
        return
    then, now = (
        asked.model_copy(update={"fraction": asked.share})  # a tenth is a tenth, typed or not
        for asked in (SelectionSettings.of(**kept.settings.to_json()), settings)
    )
    other = [
        name.replace("_", "-")
        for name in type(settings).model_fields
        if getattr(then, name) != getattr(now, name)
    ]
    if other:
        raise UserError(
            f"selection {settings.name!r} of this run was drawn with other settings "
            f"({', '.join(other)}): {_HOW_TO_KEEP}"
        )


def _refuse_other_rows(run: Run, drawn: SelectionRecord) -> None:
    """Raise UserError where the name belongs to other rows than were drawn now, saying why."""
    kept = _kept(run, drawn.name)
    if kept is None or kept.ids_hash in (None, drawn.ids_hash):
        return
    then, now_ = kept.to_json(), drawn.to_json()
    parts = {
        "pool_hash": "the pool or its scores",
        "lists": "lists or judgements",
        "removals": "benchmarks or near-duplicates",
        "lengths": "the selection whose lengths it has",
        "clusters": "the clusters",
    }
    changed = [words for key, words in parts.items() if _seal(then, key) != _seal(now_, key)]
    why = f"{' and '.join(changed)} changed" if changed else "this version draws otherwise"
    raise UserError(
        f"selection {drawn.name!r} of this run has other rows than would be drawn now ({why} "
        f"since): {_HOW_TO_KEEP}"
    )


def _seal(record: Mapping[str, Any], key: str) -> Any:
    """What a part of selection.json comes to: its hash, where it has one."""
    part = record.get(key)
    return part.get("sha256", part) if isinstance(part, dict) else part


def control_correlation(run: Run, settings: SelectionSettings) -> ControlCorrelation | None:
    """Rank correlation of the scorer with itself on random heads of the same layers.

    The mean over the control draws, and the rows they were computed on; None for a scorer without
    controls. Near 1 the choice of heads hardly matters to the scores.
    """
    have = pq.read_schema(run.score_parts(settings.scores)[0]).names
    controls = control_columns(settings.scorer, have)
    if not controls:
        return None
    frame = run.scores(settings.scores, [settings.scorer, *controls]).astype(np.float64)
    agreement = control_agreement(
        frame[settings.scorer].to_numpy(), [frame[name].to_numpy() for name in controls]
    )
    if agreement is None:
        return None
    return ControlCorrelation(
        spearman=agreement.mean,
        rows=agreement.rows,
        draws=len(agreement.rhos),
        interval=agreement.interval,
    )


def _write(
    run: Run,
    settings: SelectionSettings,
    tables: Mapping[str, pd.DataFrame],
    summary: SelectionRecord,
) -> None:
    """Write the files aside, then put the folder in place."""
    target = run.selection_dir(settings.name)
    aside = run.path / f".selection-{settings.name}.{os.getpid()}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        for file, table in tables.items():
            write_parquet(aside / file, table)
        summary.write(aside / "selection.json")
        spelled = settings.model_copy(update={"fraction": settings.share})  # the default's too
        write_settings(aside, "select", run.path, spelled, place=target)
        replace_folder(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
