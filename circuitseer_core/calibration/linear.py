"""Ridge regression at fixed length: whatever is fitted is fitted on training rows alone.

1. Length: target and every reading are regressed on (1, l, l^2), l the logarithm of the scored
   tokens, over the training rows; where sources go out too, with an intercept a source. What is
   left over is used; held-out rows are corrected by the training rows' coefficients.
2. Columns of readings get unit spread over the training rows; a block of words stays as it is.
3. Ridge regression. Its strength is chosen by the exact leave-one-out error within the training
   rows, for every target by itself, so that permuted targets share the decomposition.

The leave-one-out predictions of step 3 choose between families of readings (nested.py), without a
look at held-out rows.

Axes: n training rows, m held-out rows, p columns, t targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.calibration.folds import length_basis

STRENGTHS = tuple(10.0**power for power in np.arange(-3, 3.1, 0.5))
"""Strengths of the ridge that are tried; 1 is the mean squared length of a row."""
_TINY = 1e-9


class LengthOut:
    """Regression on length, and on source where given, learnt on training rows.

    Args:
        tokens: (n,) scored tokens of the training rows.
        sources: (n,) their sources as numbers, where these are to go out as well.
    """

    def __init__(self, tokens: Floats, sources: Ints | None = None) -> None:
        self._basis = length_basis(tokens)
        design = self._basis
        if sources is not None:
            own = sources[:, None] == np.unique(sources)[None, 1:]
            design = np.hstack([design, own.astype(np.float64)])
        left, sizes, right = np.linalg.svd(design, full_matrices=False)
        keep = sizes > sizes[0] * _TINY
        self._left = left[:, keep]
        self._solve = (right[keep].T / sizes[keep]) @ self._left.T

    @property
    def leverage(self) -> Floats:
        """(n,) how much of a training row's own value is in its fitted one."""
        return np.asarray((self._left**2).sum(1))

    def residual(self, values: Floats) -> Floats:
        """What is left of (n, k) values of the training rows."""
        return np.asarray(values - self._left @ (self._left.T @ values))

    def coefficients(self, values: Floats) -> Floats:
        """(3, k) of (1, l, l^2), from (n, k) values of the training rows."""
        slopes = (self._solve @ values)[1:3]
        start = values.mean(0) - self._basis[:, 1:].mean(0) @ slopes
        return np.vstack([start[None], slopes])


@dataclass(frozen=True, slots=True)
class Training:
    """What every fit of one fold shares.

    ``out``: length, learnt on the fold's training rows; ``basis``: (m, 3) of the held-out rows;
    ``targets``: (n, t) training targets with length taken out.
    """

    out: LengthOut
    basis: Floats
    targets: Floats


@dataclass(frozen=True, slots=True)
class RidgeFit:
    """One block's fit.

    ``inner``: (n, t) predictions of training rows by fits without them; ``held_out``: (m, t)
    predictions of held-out rows; ``error``: (t,) mean squared error of ``inner``; ``weights``:
    (p, t) per unit of a column; ``length``: (3, t), what to take off by :func:`folds.length_basis`;
    ``spread``: (p,) of the columns at fixed length; ``alpha``: (t,).
    """

    inner: Floats
    held_out: Floats
    error: Floats
    weights: Floats
    length: Floats
    spread: Floats
    alpha: Floats


def fit_ridge(
    train: Floats, held_out: Floats, training: Training, *, scaled: bool = True
) -> RidgeFit:
    """Fit (n, p) columns to the targets and predict the held-out rows' (m, p).

    Args:
        scaled: give every column unit spread first.
    """
    left = training.out.residual(train)
    spread = left.std(0)
    dead = spread <= _TINY * np.maximum(1.0, np.abs(train).max(0, initial=0.0))
    unit = np.where(dead, np.inf, spread) if scaled else np.where(dead, np.inf, 1.0)
    columns = left / unit
    size = max(float(np.sqrt((columns**2).sum() / len(columns))), _TINY)
    columns /= size
    inner, error, dual, alpha = _leave_one_out(columns, training.targets, training.out.leverage)
    weights = (columns.T @ dual) / (unit[:, None] * size)  # (p, t)
    length = training.out.coefficients(train) @ weights
    predicted = held_out @ weights - training.basis @ length
    return RidgeFit(inner, predicted, error, weights, length, spread, alpha)


def _leave_one_out(
    columns: Floats, targets: Floats, length: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Of every target's best strength: inner predictions (n, t), their mean squared error (t,),
    dual coefficients (n, t), the strength (t,).

    One eigendecomposition, of the smaller of the two Gram matrices, serves all strengths and
    targets: the prediction of a row by the fit without it is y - (y - fitted) / (1 - leverage).
    ``length`` (n,) is the leverage of what was taken out before: without it, fits with more columns
    than rows would seem to predict everything.
    """
    left, sizes = _left_vectors(columns)
    inside = left.T @ targets  # (r, t)
    best = np.full(targets.shape[1], np.inf)
    inner, dual = np.zeros_like(targets), np.zeros_like(targets)
    alpha = np.full(targets.shape[1], STRENGTHS[-1])
    for strength in STRENGTHS:
        kept = sizes / (sizes + strength)
        own = np.minimum(length + (left**2) @ kept, 1 - _TINY)
        gap = (targets - left @ (kept[:, None] * inside)) / (1 - own)[:, None]
        error = (gap**2).mean(0)
        better = error < best
        best[better], alpha[better] = error[better], strength
        inner[:, better] = (targets - gap)[:, better]
        dual[:, better] = left @ (inside[:, better] / (sizes + strength)[:, None])
    return inner, best, dual, alpha


def _left_vectors(columns: Floats) -> tuple[Floats, Floats]:
    """(n, r) left singular vectors of (n, p) and (r,) squared singular values above rounding."""
    n, p = columns.shape
    if p < n:
        squares, right = np.linalg.eigh(columns.T @ columns)
        keep = squares > max(squares[-1], 0.0) * _TINY
        left = columns @ (right[:, keep] / np.sqrt(squares[keep]))
    else:
        squares, vectors = np.linalg.eigh(columns @ columns.T)
        keep = squares > max(squares[-1], 0.0) * _TINY
        left = vectors[:, keep]
    return left, squares[keep]
