"""The arm drawn by another scoring of the same rows: by the responses beside the prompts, say.

A scoring of responses does not know the prompts' tokens, so it cannot keep a budget of tokens by
itself. The tokens are those of the scoring on trial: the draw is put in order, and as many of its
first rows are taken as the budget holds.

Nor does it know every row: a response of a single token has no score. Such rows stay in the other
arms' pool and are counted in arms.json; were they more than a few, the arms would differ in more
than their scores.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.draw import Drawing, draw
from circuitseer_core.selection.lists import run_rules
from circuitseer_core.selection.pool import load_pool
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.wording import count

MOST_WITHOUT = 0.05
"""Share of the arms' rows that another scoring, or random heads, may have no score for."""


def rows_without_score(run: Run, selection: SelectionSettings, ids: pd.Index) -> int:
    """How many rows of the arms' pool the other scoring has no score for.

    Args:
        run: that has the scoring of the selection.
        selection: of the other scoring, whatever its budget.
        ids: of every row that the arms of the scoring on trial may take.

    Raises:
        UserError: more than ``MOST_WITHOUT`` of them, or the other scoring can draw from rows that
            are none of them.
    """
    drawing = _in_order(run, selection)
    drawable = pd.Index(drawing.pool.ids).take(drawing.chosen)
    extra, missing = len(drawable.difference(ids)), len(ids.difference(drawable))
    if extra or missing > MOST_WITHOUT * len(ids):
        raise UserError(
            f"scoring {selection.scores!r} draws from other rows than the scoring on trial "
            f"({count(extra + missing, 'row')} in one alone): score the same data"
        )
    return missing


def within_tokens(
    run: Run, selection: SelectionSettings, tokens: pd.Series, most: int
) -> SelectionSettings:
    """The selection with a budget of rows: those whose tokens stay within ``most``.

    Args:
        run, selection: as above.
        tokens: by id, of every row that the arms of the scoring on trial may take.
        most: tokens of the budget.

    Raises:
        UserError: not even one row fits.
    """
    drawing = _in_order(run, selection)
    ids = pd.Index(drawing.pool.ids).take(drawing.chosen)
    spent = np.cumsum(tokens.reindex(ids).to_numpy(dtype=np.int64))
    rows = int(np.searchsorted(spent, most, side="right"))
    if not rows:
        raise UserError(f"the budget of {most} tokens is smaller than the first sample drawn")
    return _with_budget(selection, count=rows)


def _in_order(run: Run, selection: SelectionSettings) -> Drawing:
    """The draw of everything, which orders it."""
    everything = _with_budget(selection, fraction=1.0)
    rules = run_rules(run, everything)
    return draw(load_pool(run, everything), everything, rules)


def _with_budget(selection: SelectionSettings, **budget: float) -> SelectionSettings:
    unbudgeted = selection.model_dump(exclude={"count", "fraction", "tokens"})
    return SelectionSettings.of(**unbudgeted | budget)
