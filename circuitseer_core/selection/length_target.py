"""A draw with the lengths of another selection: the fair opponent of a draw that length drives.

A soft draw from length-driven scores takes long samples, and longer samples may train better
whatever the scores mean. The opponent is uniform *given the lengths*: the tokens of the other
selection are cut into bins of equal rows, and the draw takes as many rows from each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Ints
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.selection_records import LengthTarget
from circuitseer_core.selection.pool import Pool
from circuitseer_core.selection.settings import SelectionSettings

MOST_BINS = 20
ROWS_A_BIN = 5


def length_target(tokens: Ints, of: str) -> LengthTarget:
    """The lengths (k,) in tokens of a selection as bins of about equal rows, at most 20."""
    bins = max(1, min(MOST_BINS, len(tokens) // ROWS_A_BIN))
    edges = np.unique(np.quantile(tokens, np.linspace(0, 1, bins + 1)[1:-1]))
    rows = np.bincount(length_bins(tokens, edges.tolist()), minlength=len(edges) + 1)
    return LengthTarget(of=of, edges=edges.tolist(), rows=rows.tolist())


def length_bins(tokens: Ints, edges: Sequence[float]) -> Ints:
    """(N,) the bin of every row."""
    return np.searchsorted(np.asarray(edges, dtype=np.float64), tokens, side="right")


def target_in_run(run: Run, settings: SelectionSettings, pool: Pool) -> LengthTarget | None:
    """The target that the settings name, its rows measured as this draw counts tokens; else None.

    Raises:
        UserError: there is no such selection, it is the one to be drawn, or its rows are not in
            this scoring.
    """
    named = settings.match_lengths
    if named is None:
        return None
    if named == settings.name:
        raise UserError("--match-lengths names the selection that is to be drawn")
    rows = pd.Index(pool.ids).get_indexer(run.selection_ids(named)["id"])
    if (rows < 0).any():
        raise UserError(
            f"{int((rows < 0).sum())} rows of selection {named!r} are not in this scoring"
        )
    return length_target(pool.tokens[rows], named)
