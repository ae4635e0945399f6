"""The columns of a score table, by name."""

from __future__ import annotations

from collections.abc import Iterable

DRAWS = 20
"""Random-head controls of every attention score: as many heads of the same layers, drawn anew."""

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
WIDE = frozenset({"profile", "token_starts", "special_mask", "prompt", "response", "original"})
"""Columns of a shard that are hundreds of times the size of a number."""


_CONTROL = "control_"


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
