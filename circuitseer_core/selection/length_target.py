"""A draw with the lengths of another selection: the fair opponent of a draw that length drives.

A soft draw from length-driven scores takes long samples, and longer samples may train better
whatever the scores mean. The opponent is uniform *given the lengths*: the tokens of the other
selection are cut into bins of equal rows, and the draw takes as many rows from each.

Twenty bins leave the tokens of the two draws some percent apart: within a bin the soft draw takes
the longer rows, and the last bin is wide. So the bins are cut again until none is wider than a
tenth of its lengths (less for a draw of few rows, whose errors do not even out), and nothing
shorter or longer than the selection's rows is taken. Where such bins lack rows that may be drawn,
or room for must-haves, the wide ones stand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Ints
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.selection_records import LengthTarget
from circuitseer_core.selection.pool import Pool
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.sift import Rules, sift

MOST_BINS = 20
ROWS_A_BIN = 5
WIDEST = 0.1
"""Most that a narrow bin's longest row is above its shortest, as a share of it."""
_WIDEST_OF_ONE_ROW = 0.0075
"""The same for a draw of one row; for k it is √k times that. A row is off by the width over √12,
the sum of k rows by that over √k: about 0.25 % of the tokens whatever k is, so that 1 % is rare."""


def length_target(tokens: Ints, of: str) -> LengthTarget:
    """The lengths (k,) in tokens of a selection as bins of about equal rows, at most 20."""
    bins = max(1, min(MOST_BINS, len(tokens) // ROWS_A_BIN))
    edges = np.unique(np.quantile(tokens, np.linspace(0, 1, bins + 1)[1:-1]))
    rows = np.bincount(length_bins(tokens, edges.tolist()), minlength=len(edges) + 1)
    return LengthTarget(of=of, edges=edges.tolist(), rows=rows.tolist())


def narrow_target(tokens: Ints, of: str) -> LengthTarget:
    """The same lengths (k,) in as many bins as keep the draw's tokens within about 1 % of theirs.

    The first and the last bin, shorter and longer than any of them, give no row.
    """
    widest = min(WIDEST, _WIDEST_OF_ONE_ROW * math.sqrt(len(tokens)))
    edges = {*length_target(tokens, of).edges}
    edge, longest = float(tokens.min()), float(tokens.max())
    while edge <= longest:
        edges.add(edge)
        edge = max(edge + 1, math.ceil(edge * (1 + widest)))
    cuts = sorted(edges | {longest + 1})
    rows = np.bincount(length_bins(tokens, cuts), minlength=len(cuts) + 1)
    return LengthTarget(of=of, edges=cuts, rows=rows.tolist())


def length_bins(tokens: Ints, edges: Sequence[float]) -> Ints:
    """(N,) the bin of every row."""
    return np.searchsorted(np.asarray(edges, dtype=np.float64), tokens, side="right")


def target_in_run(
    run: Run, settings: SelectionSettings, pool: Pool, rules: Rules
) -> LengthTarget | None:
    """The target that the settings name, its rows measured as this draw counts tokens; else None.

    In narrow bins where each of them has the rows to give and room for its must-haves.

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
    narrow = narrow_target(pool.tokens[rows], named)
    if _has_room(narrow, pool, rules):
        return narrow
    return length_target(pool.tokens[rows], named)


def _has_room(target: LengthTarget, pool: Pool, rules: Rules) -> bool:
    """Whether every bin has as many rows as it is to give, and no more must-haves."""
    sifted = sift(pool, rules)
    bins, wanted = length_bins(pool.tokens, target.edges), np.array(target.rows)
    have = np.bincount(bins[sifted.reason == 0], minlength=len(wanted))
    musts = np.bincount(bins[sifted.first], minlength=len(wanted))
    return bool((have >= wanted).all() and (musts <= wanted).all())
