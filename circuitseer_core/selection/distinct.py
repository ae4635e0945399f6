"""Can a draw be told from its plain rivals: length-matched random rows, and random heads' draws?

Two draws from the same scores, each under noise of its own, share some of their rows. A rival's
draw under that other noise shares as many where the scores add nothing to what it knows. So, over
a number of seeds:

    gap = share of a draw that a second draw from the same scores takes
          - share of it that the rival's draw takes

with the rivals

1. length-matched: rows at random, as many of every length (length_target.py) as the draw has;
2. random heads: the same scorer, budget and limits, from random heads of the same layers.

The interval of the gap is Student's over the seeds, and for random heads over their draws too. What
the draws differ *in* is said by their mean score and their mix of sources.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from circuitseer_core.aliases import Floats, Hashes, Ints
from circuitseer_core.distributions import t95
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import remix, to_gumbels
from circuitseer_core.runs.selection_records import Distinctness, Rival
from circuitseer_core.selection.budgets import Limits, Strata, choose, enough
from circuitseer_core.selection.diagnostics import scaled
from circuitseer_core.selection.draw import Drawing
from circuitseer_core.selection.gumbel import key_order, sampling_keys
from circuitseer_core.selection.length_control import control_length
from circuitseer_core.selection.length_target import length_bins, length_target

SEEDS = 12
PART = 20_000
"""Rows that the rivals are drawn from at most: a hash-chosen part of larger pools."""


@dataclass(frozen=True, slots=True)
class _Field:
    """The (n,) rows in play, with the limits scaled to them."""

    weight: Floats
    score: Floats
    hashes: Hashes
    strata: Strata
    limits: Limits
    temperature: float

    @classmethod
    def of(cls, drawing: Drawing, rows: Ints) -> _Field:
        """Of the rows of a draw's pool, at most PART of smallest hash."""
        if len(rows) > PART:
            rows = rows[np.argsort(drawing.hashes[rows], kind="stable")[:PART]]
        limits = drawing.limits
        if len(rows) < len(drawing.pool):
            limits = scaled(limits, len(rows) / len(drawing.pool))
        strata = drawing.strata.take(rows)
        if limits.rows is not None and limits.rows < strata.first.sum():
            limits = replace(limits, rows=int(strata.first.sum()))
        return cls(
            drawing.weight[rows], drawing.pool.score[rows], drawing.hashes[rows], strata, limits,
            drawing.temperature,
        )  # fmt: skip

    def noise(self, number: int) -> Floats:
        """(n,) Gumbel noise of a simulated seed."""
        return to_gumbels(remix(self.hashes, 1_000_000 + number))

    def draw(self, weight: Floats, noise: Floats) -> Ints:
        """The rows that these weights take under this noise.

        Raises UserError where not even the first fits the budget.
        """
        keys = sampling_keys(weight, noise, self.temperature)
        top = enough(self.strata, self.limits)
        drawn = choose(key_order(keys, noise, top=top), self.strata, self.limits)
        if not len(drawn):
            raise UserError("the rows that rivals are drawn from are too few for the budget")
        return drawn


def distinctness(
    drawing: Drawing, controls: list[Floats], *, by_length: bool = False, seeds: int = SEEDS
) -> Distinctness:
    """Tell a draw from its rivals; see the head of this module.

    Args:
        drawing: the draw.
        controls: (n,) scores of the pool's rows from random heads, one a draw of heads, NaN where
            they were not computed; empty where the scorer has none.
        by_length: whether the draw has length taken out of its scores, and so the controls too.
        seeds: simulated draws.

    Raises:
        UserError: the budget holds no row of the part of the pool that rivals are drawn from.
    """
    everything = np.arange(len(drawing.pool))
    length = _Field.of(drawing, everything)
    finite = [np.isfinite(scores) for scores in controls]
    known = np.flatnonzero(np.logical_and.reduce(finite)) if finite else np.zeros(0, np.intp)
    heads = None
    if len(known) > 1:
        rows, weights = known, [control[known] for control in controls]
        if len(rows) > PART:
            kept = np.argsort(drawing.hashes[rows], kind="stable")[:PART]
            rows, weights = rows[kept], [weight[kept] for weight in weights]
        if by_length:
            weights = [control_length(weight, drawing.pool.length[rows]) for weight in weights]
        heads = _against_heads(_Field.of(drawing, rows), weights, seeds)
    return Distinctness(
        seeds=seeds, rows=len(length.weight), length=_against_length(length, seeds), heads=heads
    )


def _against_length(field: _Field, seeds: int) -> Rival:
    own, other, seen = [], [], _Seen(field)
    tokens = field.strata.tokens
    for number in range(seeds):
        noise, second = field.noise(2 * number), field.noise(2 * number + 1)
        drawn = field.draw(field.weight, noise)
        target = length_target(tokens[drawn], "")
        binned = replace(field.strata, length=length_bins(tokens, target.edges))
        rival = choose(key_order(second, second), binned, Limits(by_length=tuple(target.rows)))
        own.append(_shared(drawn, field.draw(field.weight, second)))
        other.append(_shared(drawn, rival))
        seen.add(drawn, rival)
    return seen.rival(np.array(own), np.array(other)[:, None])


def _against_heads(field: _Field, weights: list[Floats], seeds: int) -> Rival:
    own, other, seen = [], [], _Seen(field)
    for number in range(seeds):
        noise, second = field.noise(2 * number), field.noise(2 * number + 1)
        drawn = field.draw(field.weight, noise)
        rivals = [field.draw(weight, second) for weight in weights]
        own.append(_shared(drawn, field.draw(field.weight, second)))
        other.append([_shared(drawn, rival) for rival in rivals])
        for rival in rivals:
            seen.add(drawn, rival)
    return seen.rival(np.array(own), np.array(other))


class _Seen:
    """What draws and rivals consisted of, summed over the seeds."""

    def __init__(self, field: _Field) -> None:
        self._score, self._source = field.score, field.strata.source
        self._means: list[tuple[float, float]] = []
        self._counts = np.zeros((2, field.strata.count))

    def add(self, drawn: Ints, rival: Ints) -> None:
        """Count one pair of draws."""
        self._means.append((float(self._score[drawn].mean()), float(self._score[rival].mean())))
        for row, rows in enumerate((drawn, rival)):
            of_source = np.bincount(self._source[rows], minlength=self._counts.shape[1])
            self._counts[row] += of_source / len(rows)

    def rival(self, own: Floats, other: Floats) -> Rival:
        """The record of ``own`` (S,) against ``other`` (S, draws) shares."""
        gaps = own[:, None] - other
        errors = [_error(gaps.mean(axis=1))]
        if gaps.shape[1] > 1:
            errors.append(_error(gaps.mean(axis=0)))
        gap, reach = float(gaps.mean()), math.sqrt(sum(error**2 for error in errors))
        own_mean, rival_mean = np.mean(self._means, axis=0)
        shares = self._counts / np.maximum(self._counts.sum(axis=1, keepdims=True), 1)
        return Rival(
            own=float(own.mean()),
            other=float(other.mean()),
            gap=gap,
            low=gap - reach,
            high=gap + reach,
            draws=int(gaps.shape[1]),
            lift=float(own_mean / rival_mean - 1) if rival_mean > 0 else None,
            sources_moved=float(np.abs(shares[0] - shares[1]).sum() / 2),
        )


def _error(values: Floats) -> float:
    """Half the 95 % interval of a mean of independent values."""
    return float(t95(len(values))) * float(values.std(ddof=1)) / math.sqrt(len(values))


def _shared(one: Ints, other: Ints) -> float:
    return len(np.intersect1d(one, other)) / max(1, len(one))
