"""Frames of scores, and how often a draw takes a sample."""

from __future__ import annotations

import pandas as pd

INF = float("inf")


def frame(scores: object, **columns: object) -> pd.DataFrame:
    made = pd.DataFrame({"variance": pd.Series(scores, dtype="float64")})
    made.insert(0, "id", [f"s/{i}" for i in range(len(made))])
    made["source"] = columns.pop("source", "s")
    made["n_tokens"] = columns.pop("n_tokens", 10)
    return made.assign(**columns)
