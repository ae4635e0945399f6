"""Failure signatures of scores and of the draw: length, controls, softness, sources."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from circuitseer_core import limits
from circuitseer_core.correlation import Rank, control_agreement, rank_correlation
from circuitseer_core.scoring.scorers import HEAD_SCORERS, SINK_SCORERS
from circuitseer_core.signatures.evidence import Evidence, Scored
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.wording import count, drawn_first, percent, signed, tau


def length_driven(facts: Evidence) -> Signature | None:
    """|Spearman(score, length)| beyond its limit."""
    scored = facts.scored
    if scored is None or facts.scorer in ("length", "random"):
        return None
    rank = rank_correlation(scored.score, scored.tokens)
    if not math.isfinite(rank.rho):
        return None
    text = (
        f"The rank correlation (Spearman) of {facts.scorer} with the number of tokens is "
        f"{signed(rank.rho)}{_on(rank)}."
    )
    if not limits.length_drives(rank.rho):
        title = "Length does not drive the score"
        return Signature("length", "good", title, text, rank.rho, "sources")
    which = "longer" if rank.rho > 0 else "shorter"
    text = f"To a large part the score asks for {which} texts. {text}"
    title = "Length drives the score"
    if facts.selection is not None and facts.selection.settings.length_control == "within-bins":
        text += (
            f" The selection {facts.selection.name} takes length out (length control within bins)."
        )
        return Signature("length", "info", title, text, rank.rho, "sources")
    text += " Length control within bins takes it out of the draw."
    return Signature("length", "warn", title, text, rank.rho, "sources")


def like_random_heads(facts: Evidence) -> Signature | None:
    """Spearman(score, random-head control), the mean over the control draws, above its limit."""
    scored = facts.scored
    if scored is None or facts.scorer not in HEAD_SCORERS or not scored.controls:
        return None
    agreement = control_agreement(scored.score, scored.controls)
    if agreement is None:
        return None
    rho = agreement.mean
    text = (
        "Scores from as many randomly chosen heads of the same layers rank the samples almost "
        f"alike: Spearman {signed(rho)} ({agreement.basis})."
    )
    if limits.like_random_heads(rho):
        text += " Here the choice of heads hardly matters to the scores."
        title = "Random heads give the same scores"
        return Signature("random-heads", "warn", title, text, rho, "sources")
    text = text.replace("almost alike", "alike to this degree")
    if rho > limits.CONTROL_CLOSE:
        title = "Random heads give similar scores"
        return Signature("random-heads", "info", title, text, rho, "sources")
    title = "Random heads give other scores"
    return Signature("random-heads", "good", title, text, rho, "sources")


def mostly_sink(facts: Evidence) -> Signature | None:
    """The first token, where most heads park attention, makes most of the score."""
    if facts.scorer not in SINK_SCORERS or facts.sink_share is None:
        return None
    shares = facts.sink_share[np.isfinite(facts.sink_share)]
    if not len(shares):
        return None
    middle, low = (float(q) for q in np.quantile(shares, [0.5, 0.05]))
    text = (
        f"In the median sample the first token makes {percent(middle)} of {facts.scorer} "
        f"(5th percentile {percent(low)}, {count(len(shares), 'row')})."
    )
    if limits.mostly_sink(middle):
        text += (
            " So the score mostly says how much attention goes to the first token, whatever it is; "
            "focus and divergence leave that token out."
        )
        title = f"The first token makes {percent(middle)} of this score"
        return Signature("sink", "warn", title, text, middle, "samples")
    return Signature("sink", "good", "The score is not the first token's", text, middle, "samples")


def hardly_steered(facts: Evidence) -> Signature | None:
    """Scores that hardly steer the draw: near-equal chances, or a subset unlike the top-scored."""
    softness = _softness(facts)
    if softness is None:
        return None
    beyond = limits.beyond_chance(softness.top, softness.chance)
    text = f"Of {softness.whose}, {percent(softness.top, 1)} is among the {softness.after} rows"
    text += f" (chance {percent(softness.chance, 1)})"
    if softness.lift is not None:
        more = "above" if softness.lift >= 0 else "below"
        text += f", and its mean score is {percent(abs(softness.lift), 1)} {more} the pool's"
    text += f"; the effective sample size is {percent(softness.ess_share)} of the rows"
    text += ", where a uniform draw has 100 %."
    if softness.seeds is not None:
        text += f" Draws of other seeds share {percent(softness.seeds)} of it on average."
    if math.isinf(softness.temperature):
        title = "The draw is uniform, as asked"
        return Signature("uniform-draw", "info", title, text, beyond, "export")
    if softness.chance > limits.WHOLE:
        text += " The budget takes every row: nothing is selected."
        title = "The draw takes every row"
        return Signature("uniform-draw", "info", title, text, beyond, "export")
    if limits.hardly_steered(softness.ess_share, softness.top, softness.chance):
        text += " The scores hardly steer it; a lower temperature makes them count for more."
        title = "The scores hardly steer the draw"
        return Signature("uniform-draw", "warn", title, text, beyond, "export")
    return Signature("uniform-draw", "good", "The scores steer the draw", text, beyond, "export")


@dataclass(frozen=True, slots=True)
class _Softness:
    """A draw against top-k: ``top``, share of it that is top-scored (or whatever it is ``after``);
    ``seeds``: of another seed."""

    ess_share: float
    lift: float | None
    top: float
    chance: float
    seeds: float | None
    temperature: float
    whose: str
    after: str = drawn_first(lowest=False)


def _softness(facts: Evidence) -> _Softness | None:
    """Of the newest selection, else of a small draw at τ = 1 against the top tenth."""
    selection = facts.selection
    if selection is not None and selection.diagnostics is not None:
        drawn = selection.diagnostics
        return _Softness(
            ess_share=drawn.ess_share,
            lift=drawn.score.lift,
            top=drawn.overlap.top_k,
            chance=drawn.overlap.random_expected,
            seeds=drawn.overlap.seeds_mean,
            temperature=selection.temperature,
            whose=f"the subset (selection {selection.name}, τ = {tau(selection.temperature)})",
            after=drawn_first(bool(selection.settings.to_json().get("lowest"))),
        )
    scored = facts.scored
    if scored is None or not _soft(scored):
        return None
    score = scored.score[np.isfinite(scored.score)]
    # With p = s/Σs, ESS = (Σs)²/Σs² and the expected score of a draw is Σs²/Σs.
    total, squares = float(score.sum()), float(score @ score)
    lift = squares * len(score) / total**2 - 1
    best = max(1, len(score) // 10)
    top = float(np.partition(score, -best)[-best:].sum()) / total
    whose = f"a small draw from all {count(len(score), 'row')} at τ = 1"
    return _Softness(1 / (1 + lift), lift, top, best / len(score), None, 1.0, whose)


def _soft(scored: Scored) -> bool:
    """Whether a draw at τ = 1 is defined: no negative score, and one above 0."""
    score = scored.score[np.isfinite(scored.score)]
    return bool(len(score) and score.min() >= 0 and score.max() > 0)


def one_source_favoured(facts: Evidence) -> Signature | None:
    """Subset skewed to one source: the source whose share grows most from pool to subset."""
    shares = _source_shares(facts)
    if shares is None:
        return None
    names, before, after, drawn, whose = shares
    if len(names) < 2:
        return None
    gain = after - before
    top = int(np.argmax(gain))
    text = (
        f"{names[top]} gains most: {percent(before[top])} of the pool, {percent(after[top])} of "
        f"the subset ({whose})."
    )
    number = float(gain[top])
    if not limits.favours(float(before[top]), float(after[top]), drawn):
        title = "No source is favoured"
        return Signature("source-skew", "good", title, text, number, "export")
    asked = facts.selection.settings if facts.selection is not None else None
    if asked is not None and (asked.stratify, asked.stratify_by) == ("equal", "source"):
        text += " Equal shares by source were asked for."
        title = "Sources were evened out"
        return Signature("source-skew", "info", title, text, number, "export")
    text += " Stratify by source, or cap its rows, if the mix should stay as it was."
    title = "The subset leans to one source"
    return Signature("source-skew", "warn", title, text, number, "export")


def _source_shares(facts: Evidence) -> tuple[list[str], Any, Any, int, str] | None:
    """Names, shares before and after, rows drawn (0: expected shares), and of what draw."""
    selection = facts.selection
    if selection is not None and selection.diagnostics is not None:
        shares = selection.diagnostics.sources
        names = [share.source for share in shares]
        before = np.array([share.pool_share for share in shares])
        after = np.array([share.share for share in shares])
        return names, before, after, selection.counts.selected, f"selection {selection.name}"
    scored = facts.scored
    if scored is None or not scored.names or not _soft(scored):
        return None
    use = np.isfinite(scored.score) & (scored.source >= 0)
    source, score = scored.source[use], scored.score[use]
    rows = np.bincount(source, minlength=len(scored.names))
    mass = np.bincount(source, weights=score, minlength=len(scored.names))
    if not mass.sum() > 0:
        return None
    whose = "expected of a small draw at τ = 1"
    return scored.names, rows / rows.sum(), mass / mass.sum(), 0, whose


def _on(rank: Rank) -> str:
    if rank.sampled:
        return f" (on {rank.used:,} randomly chosen of {count(rank.rows, 'row')})"
    return f" ({count(rank.rows, 'row')})"
