"""How well predictions follow the target at fixed length, and how sure that is.

The measure is the partial rank correlation of prediction and target with the tokens held fixed.
Out-of-fold predictions are ranked within their fold first: fits of different folds have scales of
their own, and each knows the mean of all rows but its own. Within sources, all three are ranked
within their source.

Intervals are percentiles over resampled rows (bootstrap), all rows of a prompt together, with the
ranks and the fits as they are: they say how far other rows of the same kind would move the number,
not other fits. A mean over sets of random heads resamples the sets as well. Two predictions are
compared on the same resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.calibration.folds import share_ranks

DRAWS = 2_000
_CHUNK = 250


@dataclass(frozen=True, slots=True)
class Judged:
    """A value and its resampled values (DRAWS,)."""

    value: float
    draws: Floats

    @property
    def interval(self) -> tuple[float, float]:
        """The middle 95 % of the resampled values; NaN where none is defined."""
        known = self.draws[np.isfinite(self.draws)]
        if len(known) < len(self.draws) / 2:
            return float("nan"), float("nan")
        low, high = np.quantile(known, [0.025, 0.975])
        return float(low), float(high)

    def minus(self, other: Judged) -> Judged:
        """The difference, on the same resamples."""
        return Judged(self.value - other.value, self.draws - other.draws)


def mean_of(several: list[Judged]) -> Judged:
    """The mean over assignments of rows to folds, say."""
    values = [judged.value for judged in several]
    return Judged(float(np.mean(values)), np.mean([judged.draws for judged in several], axis=0))


def mean_over_sets(several: list[Judged]) -> Judged:
    """The mean over sets of random heads, which are resampled beside the rows.

    The same sets in every call with as many, so that means over assignments of rows to folds keep
    what other sets would change.
    """
    draws = np.stack([judged.draws for judged in several])  # (sets, DRAWS)
    rng = np.random.default_rng(len(several))
    picked = rng.integers(0, len(several), size=draws.shape)
    value = float(np.mean([judged.value for judged in several]))
    return Judged(value, np.take_along_axis(draws, picked, axis=0).mean(axis=0))


class Judge:
    """Judges predictions of the same N rows.

    Args:
        target, tokens: (N,) each.
        groups: (N,) sources as numbers, to judge within them; None for all rows together.
        prompts: (N,) numbers from 0 of what is resampled as one; every row by itself by default.
        seed: of the resampled rows.
    """

    def __init__(
        self,
        target: Floats,
        tokens: Floats,
        *,
        groups: Ints | None = None,
        prompts: Ints | None = None,
        seed: int = 0,
    ) -> None:
        self.groups = groups
        self._target, self._tokens = self._ranked(target), self._ranked(tokens)
        self._rng_seed = seed
        self._prompts = np.arange(len(target)) if prompts is None else prompts
        self._units = int(self._prompts.max()) + 1 if len(target) else 0

    def _ranked(self, values: Floats) -> Floats:
        return share_ranks(values, self.groups) - 0.5

    def partial(self, prediction: Floats, folds: Ints | None = None) -> Judged:
        """Partial rank correlation of (N,) predictions, and of resampled rows.

        ``folds``: rank within them first. Rows without a prediction are left out.
        """
        moments = self._moments(prediction, folds)
        return Judged(float(_partial(moments.sum(0)[None])[0]), self._resampled(moments))

    def value(self, prediction: Floats, folds: Ints | None = None) -> float:
        """The value of :meth:`partial` alone."""
        return float(_partial(self._moments(prediction, folds).sum(0)[None])[0])

    def _moments(self, prediction: Floats, folds: Ints | None) -> Floats:
        if folds is not None:
            prediction = share_ranks(prediction, folds)
        known = np.isfinite(prediction)
        three = np.column_stack([self._ranked(prediction), self._target, self._tokens])
        three[~known] = 0.0
        return _moments(three) * known[:, None]

    def _resampled(self, moments: Floats) -> Floats:
        """(DRAWS,) the same from prompts drawn with replacement: the same draws for every call."""
        summed = np.zeros((self._units, moments.shape[1]))
        np.add.at(summed, self._prompts, moments)
        rng = np.random.default_rng(self._rng_seed)
        parts = []
        for _ in range(DRAWS // _CHUNK):
            drawn = rng.integers(0, self._units, size=(_CHUNK, self._units))
            offset = np.arange(_CHUNK)[:, None] * self._units
            counts = np.bincount((drawn + offset).ravel(), minlength=_CHUNK * self._units)
            parts.append(_partial(counts.reshape(_CHUNK, self._units) @ summed))
        return np.concatenate(parts)


def _moments(three: Floats) -> Floats:
    """(N, 10): 1, the three columns, and their products."""
    p, y, t = three.T
    products = [p * p, y * y, t * t, p * y, p * t, y * t]
    return np.column_stack([np.ones_like(p), p, y, t, *products])


def _partial(sums: Floats) -> Floats:
    """(k,) partial correlation of the first two, the third held fixed, from (k, 10) sums."""
    with np.errstate(all="ignore"):
        means = sums[:, 1:4] / sums[:, :1]
        second = sums[:, 4:] / sums[:, :1]
        spread = np.sqrt(np.maximum(second[:, :3] - means**2, 0))
        pairs = [(0, 1), (0, 2), (1, 2)]
        py, pt, yt = (
            (second[:, 3 + i] - means[:, a] * means[:, b]) / (spread[:, a] * spread[:, b])
            for i, (a, b) in enumerate(pairs)
        )
        # A constant length has no correlation with anything: nothing is held fixed then.
        pt, yt = np.where(spread[:, 2] > 0, pt, 0.0), np.where(spread[:, 2] > 0, yt, 0.0)
        left = (1 - pt**2) * (1 - yt**2)
        return np.where(left > 1e-12, (py - pt * yt) / np.sqrt(left), np.nan)
