"""Rank correlations of many columns at once, with others held fixed, on resampled rows.

The correlation matrix of the columns' ranks gives every partial rank correlation (what is left of x
and y when the ranks of z are taken out by least squares). On a resample the ranks are taken anew:
a row that was drawn twice counts twice, which changes the mid-ranks of all above it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Floats, Ints

_NOTHING_LEFT = 1e-9
"""Variance, as a share, below which a column is held to be explained by what is held fixed."""


MOST_SOURCES = 20
"""Sources with a mean of their own; the smaller ones share one."""


def source_columns(source: Sequence[str]) -> dict[str, Floats]:
    """0/1 columns (n,) by name that tell the largest sources apart, to be held fixed.

    One fewer than there are groups: where there are smaller sources beside the largest, these are
    the group without a column.
    """
    names = np.asarray(source, dtype=object)
    sizes = pd.Series(names).value_counts()
    kept = sizes.index[:MOST_SOURCES] if len(sizes) > MOST_SOURCES else sizes.index[1:]
    return {f"source {name}": (names == name).astype(np.float64) for name in kept}


class RankTable:
    """Columns of n rows, all known, whose rank correlations are wanted.

    Args:
        columns: (n,) values by name.
        fixed: (n,) values by name that are taken as they are and not ranked (0/1 for a group).
    """

    def __init__(self, columns: dict[str, Floats], fixed: dict[str, Floats] | None = None) -> None:
        self.names = [*columns, *(fixed or {})]
        self._codes = [np.unique(values, return_inverse=True)[1] for values in columns.values()]
        self._fixed = np.column_stack([*(fixed or {}).values()]) if fixed else None
        self.rows = len(next(iter(columns.values())))

    def places(self, names: Sequence[str]) -> Ints:
        """Where these columns stand in a correlation matrix."""
        return np.array([self.names.index(name) for name in names], dtype=np.int64)

    def correlations(self, weights: Floats | None = None) -> Floats:
        """(p, p) rank correlations; ``weights`` (n,): how often each row counts."""
        w = np.ones(self.rows) if weights is None else weights
        table = np.empty((self.rows, len(self.names)))
        for i, codes in enumerate(self._codes):
            counts = np.bincount(codes, weights=w)
            table[:, i] = (np.cumsum(counts) - (counts - 1) / 2)[codes]
        if self._fixed is not None:
            table[:, len(self._codes) :] = self._fixed
        table -= w @ table / w.sum()
        covariance = (table * w[:, None]).T @ table
        spread = np.sqrt(np.diag(covariance))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(covariance / np.outer(spread, spread))

    def resampled(self, times: int, seed: int) -> Iterator[Floats]:
        """Correlation matrices of ``times`` bootstrap resamples of the rows."""
        rng = np.random.default_rng(seed)
        chance = np.full(self.rows, 1 / self.rows)
        for _ in range(times):
            yield self.correlations(rng.multinomial(self.rows, chance).astype(np.float64))


def held_fixed(matrix: Floats, x: Ints, y: int, z: Ints) -> Floats:
    """(len(x),) correlations of the columns ``x`` with ``y`` where the columns ``z`` are fixed.

    NaN where nothing of a column is left. Columns of ``z`` that are constant are passed over, and
    those that follow from the others do no harm.
    """
    z = z[np.isfinite(np.diag(matrix)[z])]
    if not len(z):
        return np.asarray(matrix[x, y])
    inverse = np.linalg.pinv(matrix[np.ix_(z, z)], hermitian=True, rcond=1e-8)
    left = matrix[np.ix_(x, z)] @ inverse
    numerator = matrix[x, y] - left @ matrix[z, y]
    of_x = 1 - np.einsum("ij,ij->i", left, matrix[np.ix_(x, z)])
    of_y = 1 - matrix[y, z] @ inverse @ matrix[z, y]
    known = (of_x > _NOTHING_LEFT) & (of_y > _NOTHING_LEFT)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, numerator / np.sqrt(np.abs(of_x * of_y)), np.nan))
