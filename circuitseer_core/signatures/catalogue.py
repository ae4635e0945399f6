"""Failure signatures: what may be wrong with a run, in sentences, each with its number.

The method can fail quietly: heads that are noise, scores that measure length, a soft draw that is
nearly uniform. Each check below looks for one such failure in what the run has stored; nothing here
needs a model, and a run with only some stages done gets the checks that apply to it.

| key | failure | number |
|---|---|---|
| ``head-effect`` | ΔL small everywhere against rounding and sampling | strongest ΔL ÷ noise |
| ``head-stability`` | another probe chooses others | expected overlap, below ``STABLE`` |
| ``probe-size`` | few probe samples | below ``FEW_SAMPLES``, or than asked for |
| ``probe-pool`` | probe sources far from its pool's | total variation, above ``FAR`` |
| ``probe-data`` | probe sources far from the scored data's | the same |
| ``probe-overlap`` | probe samples among the scored rows | how many |
| ``length`` | the score is length | Spearman, beyond ±``LENGTH`` |
| ``random-heads`` | random heads score alike | mean Spearman, above ``CONTROL`` |
| ``sink`` | the first token makes the score | its median share, above ``SINK`` |
| ``uniform-draw`` | the scores hardly steer the draw | top rows taken, below ``STEERED`` |
| ``source-skew`` | the subset leans to one source | growth of its share |
| ``worse-than-random`` | training on the draw was worse than on random rows | loss difference |

The thresholds are those of :mod:`circuitseer_core.limits`.
"""

from __future__ import annotations

from collections.abc import Callable

from circuitseer_core.runs.folder import Run
from circuitseer_core.signatures import head_checks, score_checks, training_checks
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.signatures.signature import Severity, Signature

__all__ = ["CHECKS", "Severity", "Signature", "warnings"]

CHECKS: dict[str, Callable[[Evidence], Signature | None]] = {
    "head-effect": head_checks.effect_against_noise,
    "random-heads": score_checks.like_random_heads,
    "sink": score_checks.mostly_sink,
    "uniform-draw": score_checks.hardly_steered,
    "length": score_checks.length_driven,
    "head-stability": head_checks.set_stability,
    "probe-size": head_checks.probe_size,
    "probe-overlap": head_checks.probe_overlap,
    "probe-pool": head_checks.probe_against_pool,
    "probe-data": head_checks.probe_against_data,
    "source-skew": score_checks.one_source_favoured,
    "worse-than-random": training_checks.worse_than_random,
}
"""The weightiest first: what leaves nothing of the method, then what weakens it, then what one
may want."""
_ORDER: dict[Severity, int] = {"warn": 0, "info": 1, "good": 2}


OF_STAGE: dict[str, tuple[str, ...]] = {
    "detect": ("head-effect", "head-stability", "probe-size", "probe-pool"),
    "score": ("random-heads", "sink", "length", "probe-overlap", "probe-data"),
    "select": ("random-heads", "sink", "uniform-draw", "length", "source-skew"),
}
"""What each stage's command says at its end: the checks that look at what it made."""


def warnings(
    run: Run,
    *,
    scoring: str | None = None,
    scorer: str | None = None,
    selection: str | None = None,
    stage: str | None = None,
) -> list[Signature]:
    """The failure signatures of a run: warnings first, then unclear ones, then what is fine.

    Among themselves they stand in the order of ``CHECKS``, the weightiest first.

    Args:
        run: with any stages done; what cannot be read is left out, never raised.
        scoring: which scoring; ``default``, else the first there is.
        scorer: which scorer; the newest selection's, else ``variance``.
        selection: which selection; the newest of this scoring and scorer.
        stage: only the checks of this stage (``OF_STAGE``).
    """
    return signatures_of(Evidence(run, scoring, scorer, selection), stage)


def signatures_of(facts: Evidence, stage: str | None = None) -> list[Signature]:
    """:func:`warnings` from tables that may be read already."""
    checks = CHECKS if stage is None else {key: CHECKS[key] for key in OF_STAGE[stage]}
    shown = [signature for check in checks.values() if (signature := check(facts)) is not None]
    return sorted(shown, key=lambda signature: _ORDER[signature.severity])
