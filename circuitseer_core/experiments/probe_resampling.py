"""Smaller probes out of a stored one: by other criteria, of other sizes, of single sources.

The stored table holds every sample's loss change for every head, so that any part of the probe is a
probe of its own, without a model. What two probes share says something only if they share no
samples, hence everything here is between disjoint halves: one rule on the one half, another rule on
the other, both of one size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.correlation import correlation, ranks

Rule = Callable[[Ints, int, np.random.Generator], Ints]
"""(candidate rows, size, generator) → rows of a probe."""
LEAST_OF_SOURCE = 8
MOST_SOURCES = 6


@dataclass(frozen=True, slots=True)
class StoredProbe:
    """``delta`` (n, H) loss changes, ``clean`` (n,) losses, ``source`` (n,), ``top`` heads."""

    delta: Floats
    clean: Floats
    source: Ints
    names: tuple[str, ...]
    top: int

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.delta)

    def best(self, rows: Ints) -> Ints:
        """The ``top`` heads of the probe that these rows are."""
        means = self.delta[rows].mean(axis=0)
        return np.argpartition(-means, self.top - 1)[: self.top]

    def overlap(self, one: Ints, other: Ints) -> float:
        """Share of the top heads that two probes have in common."""
        return len(np.intersect1d(self.best(one), self.best(other))) / self.top

    def spearman(self, one: Ints, other: Ints) -> float:
        """Rank correlation of the two probes' maps."""
        maps = [ranks(self.delta[rows].mean(axis=0)) for rows in (one, other)]
        return correlation(maps[0], maps[1])

    def rules(self) -> dict[str, Rule]:
        """The criteria by name; stratified only where there are several sources."""

        def random(rows: Ints, size: int, rng: np.random.Generator) -> Ints:
            return rng.permutation(rows)[:size]

        def high_loss(rows: Ints, size: int, rng: np.random.Generator) -> Ints:
            mixed = rng.permutation(rows)  # ties by chance
            return mixed[np.argsort(-self.clean[mixed], kind="stable")[:size]]

        def stratified(rows: Ints, size: int, rng: np.random.Generator) -> Ints:
            mixed = rng.permutation(rows)
            of = self.source[mixed]
            turn = np.empty(len(mixed))
            for code in np.unique(of):
                where = np.flatnonzero(of == code)
                turn[where] = np.arange(len(where))
            return mixed[np.argsort(turn, kind="stable")[:size]]

        rules: dict[str, Rule] = {"random": random, "high loss": high_loss}
        if len(np.unique(self.source)) > 1:
            rules["stratified"] = stratified
        return rules

    def sources(self) -> dict[str, Ints]:
        """The larger sources' rows, where there are several."""
        counts = np.bincount(self.source, minlength=len(self.names))
        large = [i for i in np.argsort(-counts, kind="stable") if counts[i] >= LEAST_OF_SOURCE]
        if len(large) < 2:
            return {}
        return {self.names[i]: np.flatnonzero(self.source == i) for i in large[:MOST_SOURCES]}


def halved(rows: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Rows in two halves, all copies of a sample in the same one (for resampled rows)."""
    distinct = rng.permutation(np.unique(rows))
    first = np.isin(rows, distinct[: len(distinct) // 2])
    return rows[first], rows[~first]


def criteria_gaps(
    probe: StoredProbe, rows: Ints, splits: int, rng: np.random.Generator
) -> dict[str, tuple[float, float, float]]:
    """By criterion: overlap of two random probes, of one by the criterion with a random one, and of
    two by the criterion, each a quarter of ``rows``; means over ``splits`` random halves."""
    rules = probe.rules()
    sums = {name: np.zeros(3) for name in rules if name != "random"}
    for _ in range(splits):
        one, other = halved(rows, rng)
        size = max(2, min(len(one), len(other)) // 2)
        plain = rules["random"](other, size, rng)
        among = probe.overlap(rules["random"](one, size, rng), plain)
        for name, total in sums.items():
            chosen = rules[name](one, size, rng)
            total += [
                among,
                probe.overlap(chosen, plain),
                probe.overlap(chosen, rules[name](other, size, rng)),
            ]
    return {name: tuple(total / splits) for name, total in sums.items()}


def source_gaps(
    probe: StoredProbe, rows: Ints, splits: int, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """By source: overlap of two probes of it, and of one of it with one of the other sources."""
    gaps = {}
    for name, members in probe.sources().items():
        own = rows[np.isin(rows, members)]
        rest = rows[~np.isin(rows, members)]
        if len(np.unique(own)) < 4 or len(rest) < 2:
            continue
        within, across = np.zeros(splits), np.zeros(splits)
        for i in range(splits):
            one, other = halved(own, rng)
            size = max(1, min(len(one), len(other), len(rest)))
            one = rng.permutation(one)[:size]
            within[i] = probe.overlap(one, rng.permutation(other)[:size])
            across[i] = probe.overlap(one, rng.permutation(rest)[:size])
        gaps[name] = (float(within.mean()), float(across.mean()))
    return gaps


def size_curve(
    probe: StoredProbe, splits: int, rng: np.random.Generator
) -> list[tuple[int, float, float, float, float]]:
    """(size, overlap, its 5th and 95th percentile over splits, Spearman) of two disjoint probes."""
    half = len(probe) // 2
    sizes = sorted({max(2, round(half * share)) for share in (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)})
    curve = []
    for size in sizes:
        pairs = []
        for _ in range(splits):
            order = rng.permutation(len(probe))
            one, other = order[:size], order[size : 2 * size]
            pairs.append((probe.overlap(one, other), probe.spearman(one, other)))
        shares, alike = np.array(pairs).T
        low, high = np.quantile(shares, [0.05, 0.95], method="inverted_cdf")
        curve.append((size, float(shares.mean()), float(low), float(high), float(alike.mean())))
    return curve
