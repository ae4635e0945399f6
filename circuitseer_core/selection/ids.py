"""ids.parquet: the chosen rows as a table, and the hash that tells one subset from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from circuitseer_core.selection.draw import Drawing


def ids_frame(drawing: Drawing) -> pd.DataFrame:
    """ids.parquet, best first.

    id, source, score, weight (score after length control), key, probability, rank (from 1),
    n_tokens, tokens (as the budget counts them), included (a must-have).
    """
    pool, chosen = drawing.pool, drawing.chosen
    names = np.array(pool.names, dtype=object)
    return pd.DataFrame(
        {
            "id": pd.Series(pool.ids).iloc[chosen].to_numpy(dtype=object),
            "source": names[pool.source[chosen]],
            "score": pool.score[chosen],
            "weight": drawing.weight[chosen],
            "key": drawing.keys[chosen],
            "probability": drawing.chances[chosen],
            "rank": np.arange(1, len(chosen) + 1, dtype=np.int64),
            "n_tokens": pool.length[chosen].astype(np.int64),
            "tokens": pool.tokens[chosen],
            "included": drawing.strata.first[chosen],
        }
    )


def ids_hash(ids: Iterable[str]) -> str:
    """SHA-256 over the ids in rank order, one a line."""
    digest = hashlib.sha256()
    for sample in ids:
        digest.update(sample.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()
