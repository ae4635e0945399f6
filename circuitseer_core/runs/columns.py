"""The columns of a score table, by name."""

from __future__ import annotations

from collections.abc import Iterable

DRAWS = 20
"""Random-head controls of every attention score: as many heads of the same layers, drawn anew."""

ROW_GROUP = 4096
"""Rows of a shard that are packed together. Of a million rows in groups of 512 every question takes
three to five times as long (DuckDB reads every group's description); above 4,096 little is gained,
and one row's texts and profile are unpacked with all those of its group."""

ATTENTION_SCORERS = ("variance", "raw_variance", "focus", "divergence")
PLAIN_SCORERS = ("length", "random")
BASELINE_SCORERS = ("perplexity", "ifd")
INFLUENCE = "head_influence"
"""The loss without the reasoning heads relative to the clean one."""

SINK_SHARE = "sink_share"
"""Share of the score ``variance`` that the first token makes."""

TOKEN_COLUMNS = ("n_tokens", "n_tokens_full", "n_response_tokens")

TEXT_COLUMNS = ["id", "prompt", "response", "original"]

FIXED = frozenset(
    {
        "id",
        "source",
        "n_tokens",
        "n_tokens_full",
        "n_response_tokens",
        "truncated",
        "prompt_hash",
        SINK_SHARE,
    }
)
"""Columns of a shard that every row has and that are no score."""


HEAD_FAMILIES = ("first", "focus", "divergence", "entropy", "distance")
"""Readings of every single head (scoring/head_features.py)."""
CALIBRATED = "calibrated"
"""The scorer that a calibration gives: every row's rank, above 0 and below 1."""

_CONTROL = "control_"


def head_column(family: str) -> str:
    """The column that holds one reading of every observed head, as a list of fixed size."""
    return f"head_{family}"


HEAD_COLUMNS = tuple(head_column(family) for family in HEAD_FAMILIES)
WIDE = frozenset(
    {"profile", "token_starts", "special_mask", "prompt", "response", "original", *HEAD_COLUMNS}
)
"""Columns of a shard that are hundreds of times the size of a number."""


def control_column(scorer: str, draw: int) -> str:
    """The column of a score from random heads."""
    return f"{_CONTROL}{scorer}_{draw}"


def control_columns(scorer: str, columns: Iterable[str]) -> list[str]:
    """Those of ``columns`` that hold this scorer's controls, in order of the draws."""
    have = set(columns)
    return [name for draw in range(DRAWS) if (name := control_column(scorer, draw)) in have]


def score_columns(columns: Iterable[str]) -> list[str]:
    """Those of ``columns`` that are scores: neither fixed, nor wide, nor a control."""
    return [c for c in columns if c not in FIXED | WIDE and not c.startswith(_CONTROL)]
