"""How much to take, and from whom: budgets, strata, caps.

Everything here works on an *order* (row numbers, best key first) and knows nothing of scores, so
that the simulated draws of the diagnostics obey the same limits as the real one. Samples that must
be in the subset stand first in the order and count towards every budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from circuitseer_core.aliases import Ints
from circuitseer_core.errors import UserError

Stratify = Literal["none", "proportional", "equal"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a draw may take: ``rows``, ``tokens`` or ``by_length``; shares and caps by source.

    ``by_length`` (B,): rows of every length bin (``Strata.length``).
    """

    rows: int | None = None
    tokens: int | None = None
    stratify: Stratify = "none"
    per_source: int | None = None
    by_length: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Strata:
    """What limits look at: (N,) source numbers, tokens and must-haves; the number of sources.

    ``length`` (N,): length bins, where a draw is to have given lengths. ``stratum`` (N,): numbers
    of the ``strata`` that share the budget, where these are not the sources.
    """

    source: Ints
    tokens: Ints
    first: NDArray[np.bool_]
    count: int
    length: Ints | None = None
    stratum: Ints | None = None
    strata: int = 0

    def take(self, rows: Ints | NDArray[np.bool_]) -> Strata:
        """The strata of these rows."""
        return replace(
            self,
            source=self.source[rows],
            tokens=self.tokens[rows],
            first=self.first[rows],
            length=None if self.length is None else self.length[rows],
            stratum=None if self.stratum is None else self.stratum[rows],
        )

    def by_stratum(self) -> Strata:
        """The same with the strata in the place of the sources."""
        assert self.stratum is not None
        return Strata(self.stratum, self.tokens, self.first, self.strata, self.length)


def rows_of(fraction: float, n: int) -> int:
    """``fraction`` of n rows, rounded to nearest (a half goes up), at least 1; 0 where n is 0.

    Decimal, because 0.35 · 10 is 3.5 to a person and 3.4999… in binary.
    """
    exact = Decimal(str(fraction)) * n
    return min(n, max(1, int(exact.to_integral_value(ROUND_HALF_UP))))


def enough(strata: Strata, limits: Limits) -> int | None:
    """How many of the best rows settle a draw for certain; None where it may take all of them."""
    plain = limits.stratify == "none" and limits.per_source is None and not strata.first.any()
    return limits.rows if plain else None


def choose(order: Ints, strata: Strata, limits: Limits) -> Ints:
    """Take from ``order`` what ``limits`` allow; returns the chosen rows, best first.

    A count takes the first rows; a token budget takes rows up to the first that no longer fits.
    Under strata each source (or each value of another column) has its own share of the budget, by
    largest remainder. A cap skips a source's further rows.

    Raises:
        UserError: the must-have samples alone exceed the budget.
    """
    first = strata.first[order]
    if first.any():
        order = np.concatenate((order[first], order[~first]))
    if limits.by_length is not None and strata.length is not None:
        bins = strata.length[order]
        kept: Ints = order[_spot_in_group(bins) < np.array(limits.by_length)[bins]]
        return kept
    if limits.per_source is None and limits.stratify == "none":
        return _head(order, strata, limits)
    spot = _spot_in_group(strata.source[order])
    if strata.stratum is not None and limits.stratify != "none":
        return _by_other_column(order, spot, strata, limits)
    sizes = np.bincount(strata.source[order], minlength=strata.count)
    musts = np.bincount(strata.source[strata.first], minlength=strata.count)
    cap = sizes if limits.per_source is None else np.minimum(sizes, limits.per_source)
    cap = np.maximum(cap, musts)  # a must-have outranks a cap
    if limits.stratify == "none":
        return _head(order[spot < cap[strata.source[order]]], strata, limits)
    if limits.rows is not None:
        _check_musts(int(strata.first.sum()), limits.rows, "rows")
        weights = sizes if limits.stratify == "proportional" else np.ones_like(sizes)
        quota = np.array(
            apportion(limits.rows, weights.tolist(), musts.tolist(), cap.tolist()), dtype=np.int64
        )
        return order[spot < quota[strata.source[order]]]
    return _token_strata(order[spot < cap[strata.source[order]]], strata, limits)


def _by_other_column(order: Ints, spot: Ints, strata: Strata, limits: Limits) -> Ints:
    """Sources capped first, then what is left shared out by the other column."""
    if limits.per_source is not None:
        order = order[(spot < limits.per_source) | strata.first[order]]
    return choose(order, strata.by_stratum(), replace(limits, per_source=None))


def apportion(
    total: int, weights: Sequence[int], lower: Sequence[int], upper: Sequence[int]
) -> list[int]:
    """Share ``total`` by weight with largest remainders, within bounds.

    Shares outside their bounds are set to them and the rest is shared out again, the side that is
    violated more going first. Remainders that tie go to the larger weight, then to the earlier
    entry. The sum is ``total`` clipped to [Σ lower, Σ upper].
    """
    total = min(max(total, sum(lower)), sum(upper))
    shares = [0] * len(weights)
    free = [i for i in range(len(weights)) if upper[i] > 0]
    while free:
        trial = dict(zip(free, _largest_remainder(total, [weights[i] for i in free]), strict=True))
        over = [i for i in free if trial[i] > upper[i]]
        under = [i for i in free if trial[i] < lower[i]]
        if not over and not under:
            for i in free:
                shares[i] = trial[i]
            break
        too_much = sum(trial[i] - upper[i] for i in over)
        too_little = sum(lower[i] - trial[i] for i in under)
        fixed, bound = (over, upper) if too_much >= too_little else (under, lower)
        for i in fixed:
            shares[i] = bound[i]
            total -= bound[i]
        free = [i for i in free if i not in set(fixed)]
    return shares


def _largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    mass = sum(weights)
    if mass == 0:
        weights, mass = [1] * len(weights), len(weights)
    shares = [total * w // mass for w in weights]
    by_remainder = sorted(
        range(len(weights)), key=lambda i: (-(total * weights[i] % mass), -weights[i], i)
    )
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares


def _head(order: Ints, strata: Strata, limits: Limits) -> Ints:
    """The first rows of ``order`` within the whole budget."""
    musts = strata.first[order]
    if limits.rows is not None:
        _check_musts(int(musts.sum()), limits.rows, "rows")
        return order[: limits.rows]
    budget = _token_budget(limits)
    spent = np.cumsum(strata.tokens[order])
    _check_musts(int(strata.tokens[order[musts]].sum()), budget, "tokens")
    return order[: int(np.searchsorted(spent, budget, side="right"))]


def _token_strata(order: Ints, strata: Strata, limits: Limits) -> Ints:
    """Each source fills its own share of the token budget, in key order."""
    budget = _token_budget(limits)
    tokens = strata.tokens[order]
    source = strata.source[order]
    mass = [int(tokens[source == s].sum()) for s in range(strata.count)]
    musts = [int(tokens[(source == s) & strata.first[order]].sum()) for s in range(strata.count)]
    _check_musts(sum(musts), budget, "tokens")
    weights = mass if limits.stratify == "proportional" else [int(m > 0) for m in mass]
    quota = apportion(budget, weights, musts, mass)
    keep = np.zeros(len(order), dtype=bool)
    for number, share in enumerate(quota):
        members = np.flatnonzero(source == number)
        fits = int(np.searchsorted(np.cumsum(tokens[members]), share, side="right"))
        keep[members[:fits]] = True
    return order[keep]


def _token_budget(limits: Limits) -> int:
    if limits.tokens is None:
        raise ValueError("limits need rows or tokens")
    return limits.tokens


def _check_musts(needed: int, budget: int, unit: str) -> None:
    if needed > budget:
        raise UserError(
            f"the samples to include need {needed} {unit}, the budget is {budget}: raise the budget"
        )


def _spot_in_group(group: Ints) -> Ints:
    """(M,) 0 for a group's first row in this order, 1 for its second, and so on."""
    grouped = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    spots = np.empty(len(group), dtype=np.int64)
    spots[grouped] = np.arange(len(group)) - starts
    return spots
