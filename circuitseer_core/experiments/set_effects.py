"""What sets of heads do, from numbers alone: one set against random ones, by source, specifically.

The reasoning heads are one set; random sets vary. So one set is not held against the mean of the
random ones but against what one more random set might do: with gap = ours - mean of R random sets,

    se^2 = s^2 (1 + 1/R) + se_items^2,

s the standard deviation of the random sets' effects and se_items the gap's standard error over
samples. The interval is gap +- t(min(R, n) - 1) * se; p is two-sided. A set counts as *found* to
matter more where p survives Holm's correction and no random set reaches it: the first trusts that
effects of random sets are roughly normal, the second trusts nothing and passes 1 of R + 1 sets that
are no different.

Axes: S sets, n samples, R random sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Floats
from circuitseer_core.distributions import Z95, holm, t95, upper_tail
from circuitseer_core.experiments.comparisons import FALSE_FINDING

BOOTS = 1000


@dataclass(frozen=True, slots=True)
class Against:
    """One set's effect against those of ``draws`` random sets, of which it exceeds ``exceeds``."""

    ours: float
    random: float
    random_low: float
    random_high: float
    gap: float
    low: float
    high: float
    p: float
    exceeds: int
    draws: int

    def to_json(self) -> dict[str, Any]:
        """For an experiment's numbers."""
        return asdict(self)


def against(ours: float, draws: Floats, items_error: float, items: int) -> Against:
    """One effect against (R,) random sets' effects; see the head of this module.

    Args:
        items_error: standard error over samples of ours less the random sets' mean.
        items: n, the samples.
    """
    times = len(draws)
    gap = ours - float(draws.mean())
    spread = float(draws.std(ddof=1)) if times > 1 else float("nan")
    error = float(np.sqrt(spread**2 * (1 + 1 / times) + items_error**2))
    freedom = min(times, items)
    half = float(t95(freedom)) * error
    t = np.array([abs(gap) / error if error > 0 else np.nan])
    return Against(
        ours=ours,
        random=float(draws.mean()),
        random_low=float(draws.min()),
        random_high=float(draws.max()),
        gap=gap,
        low=gap - half,
        high=gap + half,
        p=min(1.0, 2 * float(upper_tail(t, np.array([freedom]))[0])),
        exceeds=int((ours > draws).sum()),
        draws=times,
    )


def agreements(own: Floats, alike: Floats) -> Floats:
    """(R,) mean correlation of each random set with all other sets, ours among them.

    Args:
        own: (R,) correlations of ours with each random set.
        alike: (R, R) correlations of the random sets among themselves.
    """
    return np.asarray((alike.sum(axis=1) - np.diag(alike) + own) / len(own))


def apart(own: Floats, alike: Floats, items_error: float, items: int) -> Against:
    """How much less ours agrees with R random sets than these do among themselves.

    Sets that agree as r_ij = m + a_i + a_j: each set's mean with all others (:func:`agreements`)
    has a_i to the share 1 - 1/R, ours and theirs alike, which is scaled back, so that the gap is
    the mean of ``alike`` off its diagonal less that of ``own``.
    """
    times = len(own)
    scale = times / (times - 1) if times > 1 else 1.0
    return against(-scale * float(own.mean()), -scale * agreements(own, alike), items_error, items)


def loss_against(ours: Floats, draws: Floats) -> Against:
    """Effects by sample, (n,) of one set and (R, n) of the random sets, averaged and compared."""
    n = len(ours)
    gap = ours - draws.mean(axis=0)
    error = float(gap.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return against(float(ours.mean()), draws.mean(axis=1), error, n)


def specificity_against(
    one: Floats, other: Floats, seed: int = 0
) -> tuple[Against, tuple[float, float]]:
    """Is what a set does to one kind of text more than what it does to another?

    Args:
        one, other: (2 + R, n) and (2 + R, m) losses: clean, ours, random sets.

    Returns:
        The comparison of specificities (mean dL / mean clean loss on the one less that on the
        other), and the 95 % bootstrap interval of ours, samples of both resampled.
    """
    rng = np.random.default_rng(seed)
    ratios = _specificity(one, other)
    drawn = np.stack(
        [
            _specificity(
                one[:, rng.integers(one.shape[1], size=one.shape[1])],
                other[:, rng.integers(other.shape[1], size=other.shape[1])],
            )
            for _ in range(BOOTS)
        ]
    )
    fewest = min(one.shape[1], other.shape[1])
    error = float((drawn[:, 0] - drawn[:, 1:].mean(axis=1)).std(ddof=1))
    ends = ratios[0] + _wider(fewest) * (np.quantile(drawn[:, 0], [0.025, 0.975]) - ratios[0])
    compared = against(float(ratios[0]), ratios[1:], error, fewest)
    return compared, (float(ends[0]), float(ends[1]))


def _specificity(one: Floats, other: Floats) -> Floats:
    """(1 + R,) of ours and of each random set."""
    relative = [(losses[1:].mean(axis=1) / losses[0].mean()) - 1 for losses in (one, other)]
    return np.asarray(relative[0] - relative[1])


def _wider(samples: int) -> float:
    """By what a bootstrap's percentiles are too near to an estimate over so few samples.

    A resample spreads as n - 1 of n samples do, and normally where Student's t is wanted: 1.29 for
    eight samples, 1.05 for forty (the expanded percentiles of Hesterberg 2015). Simulated, plain
    percentiles of eight samples hold a mean 88 % of the time, those of two 48 %.
    """
    return float(t95(samples)) / Z95 * float(np.sqrt(samples / (samples - 1)))


def bootstrap_means(values: Floats, seed: int = 0) -> tuple[Floats, Floats]:
    """95 % intervals of the means of (S, n) values by resampled samples: lows and highs, (S,) each.

    NaN where there are fewer than two samples: one says nothing of others.
    """
    rng = np.random.default_rng(seed)
    n = values.shape[1]
    if n < 2:
        return np.full(len(values), np.nan), np.full(len(values), np.nan)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=BOOTS) / n  # (boots, n)
    means = values.mean(axis=1)
    low, high = np.quantile(values @ weights.T, [0.025, 0.975], axis=1)
    return means + _wider(n) * (low - means), means + _wider(n) * (high - means)


def by_source(losses: Floats, sources: Sequence[str], labels: pd.DataFrame) -> pd.DataFrame:
    """A row a (set, source): ``labels``' columns, source, samples, loss and rise with intervals.

    Args:
        losses: (S, n) nats; row 0 is clean.
        labels: S rows that say what each set is.
    """
    frames = []
    for source in dict.fromkeys(sources):
        own = losses[:, [s == source for s in sources]]
        rise = own - own[0]
        (low, high), (rise_low, rise_high) = bootstrap_means(own), bootstrap_means(rise)
        columns = {
            "source": source,
            "samples": own.shape[1],
            "loss": own.mean(axis=1),
            "loss_low": low,
            "loss_high": high,
            "rise": rise.mean(axis=1),
            "rise_low": rise_low,
            "rise_high": rise_high,
        }
        frames.append(labels.assign(**columns))
    return pd.concat(frames, ignore_index=True)


def decided(comparisons: Sequence[Against]) -> list[dict[str, Any]]:
    """The comparisons as JSON with ``p_holm`` and ``found``, corrected for their number."""
    adjusted = holm([each.p for each in comparisons])
    return [
        each.to_json()
        | {"p_holm": float(p), "found": bool(p < FALSE_FINDING and each.exceeds == each.draws)}
        for each, p in zip(comparisons, adjusted, strict=True)
    ]


def exact_interval(right: int, asked: int) -> tuple[float, float]:
    """95 % interval of a share of right answers (Clopper and Pearson 1934)."""
    from scipy.special import betaincinv

    low = float(betaincinv(right, asked - right + 1, 0.025)) if right else 0.0
    high = float(betaincinv(right + 1, asked - right, 0.975)) if right < asked else 1.0
    return low, high
