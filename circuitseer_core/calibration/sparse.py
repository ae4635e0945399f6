"""A fit with few columns: the first that a lasso takes up, then a ridge on those alone.

A strength and a set that were chosen together make leave-one-out errors too small. For the first
target, the one whose predictions are stacked with other blocks, they are therefore taken from inner
folds, each of which chooses its own columns.
"""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import lars_path

from circuitseer_core.aliases import Floats, Index
from circuitseer_core.calibration.linear import RidgeFit, Training, fit_ridge

_INNER = 5


def first_columns(left: Floats, target: Floats, at_most: int) -> Index:
    """The first ``at_most`` columns of (n, p) that the lasso's path has for a target (n,)."""
    spread = left.std(0)
    usable = np.flatnonzero(spread > 0)
    columns = left[:, usable] / spread[usable]
    limit = min(at_most, len(usable), len(target) - 1)
    _, active, _ = lars_path(columns, target, method="lasso", max_iter=4 * limit + 8)
    return usable[np.array(active[:limit], dtype=np.intp)]


def fit_sparse(train: Floats, held_out: Floats, training: Training, *, at_most: int) -> RidgeFit:
    """:func:`linear.fit_ridge` on at most so many columns, chosen for every target by itself."""
    left = training.out.residual(train)
    t = training.targets.shape[1]
    weights = np.zeros((train.shape[1], t))
    parts = []
    for number in range(t):
        target = training.targets[:, [number]]
        chosen = first_columns(left, target[:, 0], at_most)
        part = fit_ridge(
            train[:, chosen], held_out[:, chosen], Training(training.out, training.basis, target)
        )
        weights[chosen, number] = part.weights[:, 0]
        parts.append(part)
    inner = np.column_stack([part.inner[:, 0] for part in parts])
    inner[:, 0] = _inner_folds(left, training.targets[:, 0], at_most)
    return RidgeFit(
        inner=inner,
        held_out=np.column_stack([part.held_out[:, 0] for part in parts]),
        error=((training.targets - np.column_stack([p.inner[:, 0] for p in parts])) ** 2).mean(0),
        weights=weights,
        length=np.column_stack([part.length[:, 0] for part in parts]),
        spread=left.std(0),
        alpha=np.array([part.alpha[0] for part in parts]),
    )


def _inner_folds(left: Floats, target: Floats, at_most: int) -> Floats:
    """(n,) predictions of rows by fits, and choices of columns, without them."""
    predicted = np.zeros(len(target))
    turn = np.arange(len(target)) % _INNER
    for number in range(_INNER):
        rest, out = np.flatnonzero(turn != number), np.flatnonzero(turn == number)
        chosen = first_columns(left[rest], target[rest], at_most)
        nothing = _NothingOut(len(rest))
        part = fit_ridge(
            left[np.ix_(rest, chosen)],
            left[np.ix_(out, chosen)],
            Training(nothing, np.zeros((len(out), 3)), target[rest, None]),  # type: ignore[arg-type]
        )
        predicted[out] = part.held_out[:, 0]
    return predicted


class _NothingOut:
    """In place of LengthOut, for columns that have length taken out already."""

    def __init__(self, rows: int) -> None:
        self.leverage = np.zeros(rows)

    def residual(self, values: Floats) -> Floats:
        """The values as they are."""
        return values

    def coefficients(self, values: Floats) -> Floats:
        """No part of them is length."""
        return np.zeros((3, values.shape[1]))
