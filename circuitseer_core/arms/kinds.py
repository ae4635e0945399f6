"""The kinds of arms and what they are called."""

from __future__ import annotations

OTHER_SCORING = "other-scoring"
ARMS = {
    "soft": "drawn in proportion to the score",
    "top-k": "the highest scores",
    "bottom-k": "the lowest scores",
    "uniform": "drawn uniformly",
    "length-matched": "drawn uniformly, with the lengths of the soft draw",
    "longest": "the longest texts",
    "random-heads": "drawn in proportion to the score of random heads",
    "calibrated": "drawn in proportion to the calibrated score",
    OTHER_SCORING: "drawn in proportion to the same score of another scoring",
    "ifd": "the highest instruction-following difficulty",
    "perplexity": "the highest perplexity of the response",
    "head-influence": "the highest loss without the reasoning heads relative to clean",
    "full": "the whole pool",
}
"""Every arm there is, in the order in which they are drawn."""

SEEDED = ("soft", "uniform", "length-matched", "random-heads", "calibrated", OTHER_SCORING)
"""Those with chance in them; the others are drawn once."""


def arm_label(kind: str, seed: int) -> str:
    """The name of an arm's file."""
    return f"{kind}-s{seed}" if kind in SEEDED else kind
