"""The columns of a score table, by name."""

from __future__ import annotations

DRAWS = 3

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
    }
)
"""Columns of a shard that every row has and that are no score."""
WIDE = frozenset({"profile", "token_starts", "special_mask", "prompt", "response", "original"})
"""Columns of a shard that are hundreds of times the size of a number."""
