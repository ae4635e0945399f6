"""Samples by what one head does on them, where a scoring keeps readings of every single head."""

from __future__ import annotations

import pandas as pd

from circuitseer_core.aliases import Head
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.errors import UserError
from circuitseer_core.runs.columns import HEAD_FAMILIES, head_column


def top_by_reading(store: ScoreStore, head: Head, family: str, limit: int) -> pd.DataFrame:
    """The samples with one head's highest readings, highest first, ties by id.

    Args:
        store: a scoring made with head readings.
        head: one of those that were read.
        family: one of ``columns.HEAD_FAMILIES``.
        limit: at most so many.

    Returns:
        id, source, n_tokens, reading (as scoring/head_features.py defines it), rows (with readings,
        the same on every line).

    Raises:
        UserError: no readings of this head, or of no such kind.
    """
    if family not in HEAD_FAMILIES or head not in store.settings.feature_heads:
        raise UserError(f"scoring {store.name!r} has no {family} readings of head {head}")
    column, place = head_column(family), store.settings.feature_heads.index(head) + 1
    return store.frame(
        f"SELECT id, source, n_tokens, {column}[{place}]::DOUBLE AS reading, "
        f"count(*) OVER () AS rows FROM samples WHERE {column} IS NOT NULL "
        f"AND NOT isnan({column}[{place}]) ORDER BY reading DESC, id LIMIT {int(limit)}"
    )
