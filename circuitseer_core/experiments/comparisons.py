"""What two sets of heads share by chance, and when that is held to be more than chance."""

from __future__ import annotations

from math import comb

from circuitseer_core.runs.experiment_records import HOLM, Outcome

__all__ = ["FALSE_FINDING", "HOLM", "found_only_if", "overlap_by_chance"]

FALSE_FINDING = 0.05
"""Chance of one false finding in a whole family of comparisons (Holm 1979)."""


def found_only_if(outcome: Outcome, significant: bool) -> Outcome:
    """An outcome that is found only where the corrected comparison is found too.

    Where the plain interval lies beyond the null but the correction (or another condition) does
    not let it count, the answer is open.
    """
    if outcome.state == "found" and not significant:
        return outcome.model_copy(update={"state": "inconclusive"})
    return outcome


def overlap_by_chance(shared: int, count: int, field: int) -> float:
    """Chance that two random sets of ``count`` out of ``field`` share ``shared`` or more.

    The upper tail of the hypergeometric distribution, exactly.
    """
    ways = sum(comb(count, s) * comb(field - count, count - s) for s in range(shared, count + 1))
    return ways / comb(field, count)
