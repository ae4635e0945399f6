"""How many of the chosen heads would an independent probe of the same size choose?

A bootstrap answers another question. It resamples the very samples that chose the set, so the
chosen heads start ahead: on simulated heads with heavy tails it says 2 to 28 points too much, and
what stands here at most 2 (benchmarks/stability.py). Disjoint parts of the probe are independent of
each other:

1. Split the probe at random into two disjoint parts of m samples, take the top set of each, and
   count what they share. Do so many times, for m = n/4, n/3 and n/2.
2. Correct for chance: kappa(m) = (overlap - c) / (1 - c), with c = k / H.
3. Fit log(kappa / (1 - kappa)) as a line in log m, of slope 0 to 1, and read it off at m = n.

The interval is for what *one* more probe would share. Its half width is 1.5 t(n - 1) standard
deviations of the overlap of two halves; on those simulated heads it holds 91 to 98 of 100 such
probes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Floats, Head, Ints
from circuitseer_core.detection.heads import finalists
from circuitseer_core.detection.importance_table import delta_matrix
from circuitseer_core.distributions import t95
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run

SPLITS = 60
"""Random splits of each size: the mean overlap is then known to about a point."""
LEAST = 4
"""Fewest samples that can be split into two parts of two."""
_WIDTH = 1.5
_EDGE = 0.005


@dataclass(frozen=True, slots=True)
class SetOverlap:
    """Share of ``count`` heads out of ``field`` that another probe of ``samples`` would choose too.

    ``expected``, and ``low`` to ``high`` for one such probe; ``chance`` is what two random sets
    share; ``half`` is what two halves of this probe share, measured and not extrapolated.
    ``raced``: the field is the last of a race, which this very probe had narrowed down.
    """

    expected: float
    low: float
    high: float
    chance: float
    half: float
    count: int
    field: int
    samples: int
    raced: bool = False


class HeadEstimates:
    """Estimates of heads from weighted samples: importance, or specificity with a contrast set.

    Args:
        sets: (n, H) loss changes and (n,) clean losses, of the probe and, for specificity, of the
            contrast set.
        heads: the H heads; each was measured on every sample.
        raced: whether other heads were dropped on the way.

    Attributes:
        rank_by: ``importance`` or ``specificity``.
    """

    def __init__(
        self,
        sets: list[tuple[Floats, Floats]],
        heads: list[Head],
        rank_by: str = "importance",
        *,
        raced: bool = False,
    ) -> None:
        self._sets, self.heads, self.rank_by, self.raced = sets, heads, rank_by, raced

    @classmethod
    def of_run(cls, run: Run, rank_by: str = "importance") -> HeadEstimates:
        """The estimates of a finished detection; after a race, of its last field alone.

        Raises:
            UserError: no detection, or no contrast set to rank by specificity.
        """
        table = run.heads()
        field = finalists(table)
        raced = len(field) < len(table)
        sets: list[tuple[Floats, Floats]] = []
        for name in ("probe", "contrast") if rank_by == "specificity" else ("probe",):
            ids, heads, deltas = delta_matrix(run.importance_dir, name)
            if not len(ids):
                raise UserError(f"{run.path} holds no measurements of its {name} set")
            at = {head: i for i, head in enumerate(heads)}
            field = [head for head in field if head in at]
            sets.append((deltas[:, [at[head] for head in field]], _clean(run, name, ids)))
        whole = np.logical_and.reduce([np.isfinite(deltas).all(axis=0) for deltas, _ in sets])
        kept = [head for head, complete in zip(field, whole, strict=True) if complete]
        return cls(
            [(deltas[:, whole], clean) for deltas, clean in sets], kept, rank_by, raced=raced
        )

    @property
    def samples(self) -> list[int]:
        """Number of samples of each set."""
        return [len(deltas) for deltas, _ in self._sets]

    def of(self, weights: list[Floats]) -> Floats:
        """(H,) or (S, H) estimates under sample weights (n,) or (S, n), one array a set."""
        sums = [w.sum(-1)[..., None] for w in weights]
        means = [
            w @ deltas / total
            for (deltas, _), w, total in zip(self._sets, weights, sums, strict=True)
        ]
        if self.rank_by == "importance":
            return np.asarray(means[0])
        clean = [
            (w @ loss)[..., None] / total
            for (_, loss), w, total in zip(self._sets, weights, sums, strict=True)
        ]
        return np.asarray(means[0] / clean[0] - means[1] / clean[1])

    def everything(self) -> Floats:
        """(H,) the plain estimates."""
        return self.of([np.ones(n) for n in self.samples])

    def bootstrap(self, rng: np.random.Generator) -> Floats:
        """(H,) estimates from sets resampled with replacement."""
        return self.of([rng.multinomial(n, np.full(n, 1 / n)).astype(float) for n in self.samples])

    def splits(self, rng: np.random.Generator, parts: int, times: int) -> tuple[Floats, Floats]:
        """(times, H) estimates twice, from disjoint ``parts``-ths of every set (at least two)."""
        one: list[Floats] = []
        other: list[Floats] = []
        for n in self.samples:
            size = max(2, n // parts)
            order = rng.random((times, n)).argsort(axis=1)
            for columns, weights in ((order[:, :size], one), (order[:, size : 2 * size], other)):
                chosen = np.zeros((times, n))
                np.put_along_axis(chosen, columns, 1.0, axis=1)
                weights.append(chosen)
        return self.of(one), self.of(other)


def top_of(values: Floats, count: int) -> Ints:
    """(count,) indices of the largest values; ties by index."""
    return np.argsort(-values, kind="stable")[:count]


def shared_tops(one: Floats, other: Floats, count: int) -> Floats:
    """(S,) share of the ``count`` largest of each row of (S, H) that the other's row has too."""

    def best(values: Floats) -> Ints:
        return np.argpartition(-values, count - 1, axis=1)[:, :count]

    marked = np.zeros(one.shape, dtype=bool)
    np.put_along_axis(marked, best(one), True, axis=1)
    return np.asarray(np.take_along_axis(marked, best(other), axis=1).mean(axis=1))


def expected_overlap(
    estimates: HeadEstimates,
    count: int,
    *,
    samples: int | None = None,
    splits: int = SPLITS,
    seed: int = 0,
) -> SetOverlap | None:
    """Overlap of the top ``count`` heads with those of an independent probe of the same size.

    ``samples``: of two probes of that many instead, where these are more (the line is read off
    there). None where a set has fewer than four samples, or ``count`` leaves no head to choose
    from.
    """
    field, n = len(estimates.heads), min(estimates.samples)
    if n < LEAST or not 0 < count < field:
        return None
    rng = np.random.default_rng(seed)
    chance = count / field
    sizes = {max(2, n // parts): parts for parts in (4, 3, 2)}
    shares = {
        size: shared_tops(*estimates.splits(rng, parts, splits), count)
        for size, parts in sizes.items()
    }
    kappa = (np.array([share.mean() for share in shares.values()]) - chance) / (1 - chance)
    clipped = np.clip(kappa, _EDGE, 1 - _EDGE)
    odds = np.log(clipped / (1 - clipped))
    at = np.log(list(shares))
    # Simulated slopes lie at 0.4 to 0.7, and kappa cannot grow faster than n. Without the bounds
    # heads that differ by chance alone get slopes of 5 and more from parts that share nothing.
    slope = float(np.clip(np.polyfit(at, odds, 1)[0], 0.0, 1.0)) if len(shares) > 1 else 0.5
    n = n if samples is None else max(2, min(n, samples))
    final = odds.mean() + slope * (np.log(n) - at.mean())
    expected = chance + (1 - chance) / (1 + np.exp(-final))
    if kappa[-1] >= 1 and n >= max(shares):  # halves that agree throughout: nothing to extrapolate
        expected = 1.0
    nearest = max((size for size in shares if size <= n), default=min(shares))
    spread = _WIDTH * float(t95(n)) * float(shares[nearest].std(ddof=1))
    return SetOverlap(
        expected=float(expected),
        low=max(0.0, float(expected) - spread),
        high=min(1.0, float(expected) + spread),
        chance=chance,
        half=float(shares[max(shares)].mean()),
        count=count,
        field=field,
        samples=n,
        raced=estimates.raced,
    )


def _clean(run: Run, set_name: str, ids: pd.Index) -> Floats:
    """(n,) clean losses of the samples ``ids`` of one set."""
    probe = run.probe()
    losses = probe[probe["set"] == set_name].set_index("id")["base_loss"]
    return losses.reindex(ids).to_numpy(dtype=np.float64)
