"""What a score is made of: how much of the variance of its ranks others explain, held out.

Least squares on ranks and their squares, fitted on four fifths of the rows and judged on the fifth
that it has not seen: R² = 1 - Σ(y - ŷ)² / Σ(y - ȳ)². Nothing that is fitted to noise adds to it, so
that thirty features are no better than one by their number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from circuitseer_core.aliases import Floats
from circuitseer_core.correlation import ranks
from circuitseer_core.experiments.intervals import BOOTSTRAPS, Interval, percentile

FOLDS = 5


def explained(
    score: Floats, parts: Sequence[Floats], *, times: int = BOOTSTRAPS, seed: int = 0
) -> Interval:
    """Share of the rank variance of ``score`` (n,) that the columns ``parts`` explain, held out.

    Below 0 where they predict worse than the mean. The interval resamples the held-out rows, with
    the fits as they are.
    """
    y = _standard(ranks(score))
    columns = [_standard(ranks(part)) for part in parts]
    features = np.column_stack([np.ones(len(y)), *columns, *(column**2 for column in columns)])
    predicted = _held_out(features, y, seed)
    wrong, whole = (y - predicted) ** 2, (y - y.mean()) ** 2
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(y), np.full(len(y), 1 / len(y)), size=times)
    draws = 1 - (weights @ wrong) / (weights @ whole)
    return percentile(float(1 - wrong.sum() / whole.sum()), draws)


def _held_out(features: Floats, y: Floats, seed: int) -> Floats:
    """(n,) predictions, each from a fit without the row's fold."""
    fold = np.random.default_rng(seed).permutation(len(y)) % FOLDS
    predicted = np.empty(len(y))
    for k in range(FOLDS):
        test = fold == k
        fitted, *_ = np.linalg.lstsq(features[~test], y[~test], rcond=None)
        predicted[test] = features[test] @ fitted
    return predicted


def _standard(values: Floats) -> Floats:
    spread = values.std()
    return (values - values.mean()) / spread if spread > 0 else values * 0.0
