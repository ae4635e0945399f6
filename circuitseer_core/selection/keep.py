"""A draw that was made as a frame, kept in its run afterwards.

A frame of rows proves nothing. So the settings that it carries draw again from the run; where they
give the same rows, that draw is written as any other, and ``verify`` can derive it.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from circuitseer_core.arguments import a_text, described
from circuitseer_core.errors import UserError
from circuitseer_core.runs.any_run import AnyRun, place
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.selection_records import SelectionRecord
from circuitseer_core.runs.stage import working
from circuitseer_core.selection.draw import draw
from circuitseer_core.selection.length_target import target_in_run
from circuitseer_core.selection.lists import run_rules
from circuitseer_core.selection.pool import load_pool
from circuitseer_core.selection.select_run import refuse_other, select_run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.wording import count


def save_selection(
    run: AnyRun, chosen: pd.DataFrame, name: str, *, scoring: str = "default",
    replace: bool = False,
) -> SelectionRecord:  # fmt: skip
    """Keep a frame that ``select`` returned as a selection of the run, to be exported and verified.

    The draw is made again from the settings that the frame carries (``chosen.attrs``): rows that
    were added or taken out by hand are refused.

    Args:
        chosen: as it was returned; any order of its rows will do.
        scoring: the scoring it was drawn from, where it was drawn from a frame of its scores.
        replace: another draw of this name gives way.

    Raises:
        UserError: the frame carries no settings, or its rows are not what these draw from the run.
    """
    run = Run.open(place(run))
    settings = _settings(chosen, a_text("name", name), a_text("scoring", scoring))
    if not replace:
        refuse_other(run, settings)
    pool = load_pool(run, settings)
    rules = run_rules(run, settings)
    target = target_in_run(run, settings, pool, rules)
    drawing = draw(pool, settings, rules, target=target)
    drawn = {str(pool.ids[row]) for row in drawing.rows}
    chosen_ids = set(chosen["id"].astype(str))
    if drawn != chosen_ids:
        missing, more = len(drawn - chosen_ids), len(chosen_ids - drawn)
        raise UserError(
            f"these rows are not what their settings draw from {run.path}: {missing:,} of "
            f"{count(len(drawn), 'row')} are missing and {more:,} are others. Name rows with "
            "select(…, exclude=…, include=…) instead of editing the frame, and give the scoring "
            "that it was drawn from"
        )
    with working(run, "select"):
        return select_run(run, settings, replace=replace)


def _settings(chosen: Any, name: str, scoring: str) -> SelectionSettings:
    """The settings that a frame carries, under a name of their own."""
    if not isinstance(chosen, pd.DataFrame) or "id" not in chosen:
        raise UserError(f"chosen: give a frame that select returned, not {described(chosen)}")
    carried = chosen.attrs.get("selection")
    carried = carried if isinstance(carried, dict) else {}
    kept = carried.get("settings")
    if not isinstance(kept, dict):
        raise UserError(
            "the frame does not say how it was drawn: give one that select returned (joining and "
            "merging frames loses it)"
        )
    if not carried.get("of_run"):  # drawn from a frame, which knows no scoring
        kept = kept | {"scores": scoring}
    return SelectionSettings.of(**{**kept, "name": name})
