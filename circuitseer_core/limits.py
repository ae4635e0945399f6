"""Every threshold from which a number is a warning, once: signatures, pages, card and report.

A predicate says which side of its threshold a number is on, so that two readers cannot compare it
in two ways.
"""

from __future__ import annotations

from typing import Literal

LENGTH = 0.5
"""|Spearman| of a score with the token count above which length drives the score."""

CONTROL = 0.95
"""Spearman with random heads' score above which the choice of heads hardly matters."""

CONTROL_CLOSE = 0.8
"""Spearman with random heads' score above which random heads are said to score similarly."""

CONTROL_MARGIN = 0.02
"""Reasoning heads agree with random ones as random ones do among themselves, within this."""

CHANCE = 0.05
"""Chance, or share of random draws that reach as much, up to which a difference from random draws
is said not to be chance."""

UNIFORM = 0.9
"""Effective sample size, as a share of the pool, above which a draw is nearly uniform."""

SKEW_POINTS, SKEW_RATIO, SKEW_LEAST = 0.10, 1.5, 0.03
"""A source is favoured when its share grows by 10 points, or by half and at least 3 points."""

SKEW_CHANCE = 3.0
"""Standard errors within which a source's gain is chance."""

STABLE = 0.8
"""Share of the chosen heads expected again below which the set is unstable."""

FEW_SAMPLES = 20
"""Probe samples below which one odd sample can put a head into the set."""

CERTAIN = 0.95
"""Probability of being chosen again from which a head is called certain."""

SINK = 0.5
"""Share of the score that the first token makes above which the score is mostly the sink."""

STEERED = 0.1
"""Top-scored rows that a steered draw takes at least, from 0 (what chance takes) to 1 (all)."""

NOISE_MULTIPLE = 10.0
"""The strongest head must change the loss by this many times what noise alone can do."""

CORRELATION = 0.1
"""A rank correlation, or a difference of two, that would matter: what an interval must be able to
tell from nothing before its silence counts as no evidence."""

MAPS = 0.3
"""Spearman of two maps of heads that would matter: below it they have less than a tenth of their
rank variance in common, and over the some twenty heads that are measured less cannot be told."""

RIVAL = 0.2
"""A rank correlation of two rival scores at fixed length that would matter: below it they have less
than a twentieth of their rank variance in common. More than CORRELATION asks, because the rival
costs two passes a row, so that few rows have it."""

RISE = 0.1
"""A rise of the loss by ablated heads, in nats, that would matter: a tenth of the perplexity."""

TRAINED = 0.01
"""A difference of held-out loss after training, in nats, that would matter: a hundredth of the
perplexity."""

OVERLAP = 0.15
"""A change of the share of common heads that would matter (two heads of fourteen)."""

DISTINCT = 0.01
"""Share of a draw's rows by which it must differ from a rival's to be told apart from it."""

FAR = 0.3
"""Total variation distance of source shares from which two samples count as far apart."""

WHOLE = 0.999
"""Share of the pool from which a budget is said to take every row."""

COLOURED = 0.1
"""Share of the uniform attention below which a token's part is too small to have a colour."""


def length_drives(spearman: float) -> bool:
    """Whether a score is to a large part length."""
    return abs(spearman) > LENGTH


def like_random_heads(spearman: float) -> bool:
    """Whether random heads rank the samples almost as the reasoning heads do."""
    return spearman > CONTROL


def nearly_uniform(ess_share: float) -> bool:
    """Whether the chances to be drawn are almost equal."""
    return ess_share > UNIFORM


def beyond_chance(overlap: float, chance: float) -> float:
    """An overlap on a scale from 0, what chance gives, to 1, the same set."""
    return (overlap - chance) / (1 - chance) if chance < 1 else 1.0


def hardly_steered(ess_share: float, overlap_top: float, chance: float) -> bool:
    """Whether the scores hardly steer a draw: equal chances, or a subset unlike the top-scored.

    ``overlap_top``: share of the subset that top-k takes too; ``chance``: share of the pool drawn.
    """
    return nearly_uniform(ess_share) or beyond_chance(overlap_top, chance) < STEERED


def mostly_sink(share: float) -> bool:
    """Whether the first token makes most of a score."""
    return share > SINK


def favours(before: float, after: float, rows: int) -> bool:
    """Whether a source's share grew more than the mix should, and more than chance explains.

    ``rows``: of the subset; 0 where ``after`` is an expectation, which has no chance in it.
    """
    gain = after - before
    ratio = after / before if before > 0 else float("inf")
    grows = gain >= SKEW_POINTS or (ratio >= SKEW_RATIO and gain >= SKEW_LEAST)
    chance = (before * (1 - before) / rows) ** 0.5 if rows else 0.0
    return grows and gain > SKEW_CHANCE * chance


def stable(overlap: float) -> bool:
    """Whether a set of heads would mostly be chosen again."""
    return overlap >= STABLE


def told_apart(gap: float, low: float, high: float) -> Literal["yes", "no", "open"]:
    """Whether a draw is told from a rival's, by its gap with the interval from ``low`` to ``high``.

    ``yes``: a gap that counts, above 0; ``no``: the whole interval lies below one that counts.
    """
    if high < DISTINCT:
        return "no"
    return "yes" if gap >= DISTINCT and low > 0 else "open"
