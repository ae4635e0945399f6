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
class Part:
    """A part of the probe: ``best`` (top,) heads, ``ranks`` (H,) of the mean loss changes."""

    best: Ints
    ranks: Floats

    def alike(self, other: Part) -> Floats:
        """(2,): share of the top heads in common with another part, rank correlation of the maps.

        The correlation is NaN where a map is constant.
        """
        share = len(np.intersect1d(self.best, other.best)) / len(self.best)
        return np.array([share, correlation(self.ranks, other.ranks)])


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
        return self.part(rows).best

    def part(self, rows: Ints) -> Part:
        """The probe that these rows are: its best heads and its map."""
        means = self.delta[rows].mean(axis=0)
        return Part(np.argpartition(-means, self.top - 1)[: self.top], ranks(means))

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
) -> dict[str, Floats]:
    """How alike two random probes are, one by a criterion and a random one, and two by it.

    Each probe is a quarter of ``rows``; means over ``splits`` random halves.

    Returns:
        By criterion (3, 2): those three, by heads in common and by rank correlation of the maps.
    """
    rules = probe.rules()
    sums = {name: np.zeros((3, 2)) for name in rules if name != "random"}
    for _ in range(splits):
        one, other = halved(rows, rng)
        size = max(2, min(len(one), len(other)) // 2)
        plain = probe.part(rules["random"](other, size, rng))
        among = probe.part(rules["random"](one, size, rng)).alike(plain)
        for name, total in sums.items():
            chosen = probe.part(rules[name](one, size, rng))
            again = probe.part(rules[name](other, size, rng))
            total += [among, chosen.alike(plain), chosen.alike(again)]
    return {name: total / splits for name, total in sums.items()}


def source_gaps(
    probe: StoredProbe, rows: Ints, splits: int, rng: np.random.Generator
) -> dict[str, Floats]:
    """How alike two probes of a source are, and one of it and one of the other sources.

    Returns:
        By source (2, 2): those two, by heads in common and by rank correlation of the maps.
    """
    gaps = {}
    for name, members in probe.sources().items():
        own = rows[np.isin(rows, members)]
        rest = rows[~np.isin(rows, members)]
        if len(np.unique(own)) < 4 or len(rest) < 2:
            continue
        total = np.zeros((2, 2))
        for _ in range(splits):
            one, other = halved(own, rng)
            size = max(1, min(len(one), len(other), len(rest)))
            part = probe.part(rng.permutation(one)[:size])
            total += [
                part.alike(probe.part(rng.permutation(other)[:size])),
                part.alike(probe.part(rng.permutation(rest)[:size])),
            ]
        gaps[name] = total / splits
    return gaps


def partial_probes(
    probe: StoredProbe, splits: int, rng: np.random.Generator
) -> dict[str, list[Ints]]:
    """Rows of partial probes by every rule, and of every source: ``splits`` of each.

    By a rule a quarter of the probe, out of a random half that all rules choose from; of a source
    as many, or half of it where that is fewer. Without the halves, high loss would choose the same
    samples every time.
    """
    rules, size = probe.rules(), max(2, len(probe) // 4)
    parts: dict[str, list[Ints]] = {name: [] for name in rules}
    for _ in range(splits):
        half, _ = halved(np.arange(len(probe)), rng)
        for name, rule in rules.items():
            parts[name].append(rule(half, size, rng))
    for name, members in probe.sources().items():
        few = min(size, len(members) // 2)
        parts[f"only {name}"] = [rng.permutation(members)[:few] for _ in range(splits)]
    return parts


def size_curve(
    probe: StoredProbe, splits: int, rng: np.random.Generator
) -> list[tuple[int, float, float, float, float]]:
    """(size, overlap, its 5th and 95th percentile over splits, Spearman) of two disjoint probes."""
    half = len(probe) // 2
    sizes = sorted({max(2, round(half * share)) for share in (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)})
    curve = []
    for size in sizes:
        pairs = np.empty((splits, 2))
        for i in range(splits):
            order = rng.permutation(len(probe))
            pairs[i] = probe.part(order[:size]).alike(probe.part(order[size : 2 * size]))
        low, high = np.quantile(pairs[:, 0], [0.05, 0.95], method="inverted_cdf")
        share, alike = pairs.mean(axis=0).tolist()
        curve.append((size, share, float(low), float(high), alike))
    return curve
