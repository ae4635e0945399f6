"""Pairs of samples to hold side by side: of one source, of nearly one length, of different score.

Length drives some scores, so a high and a low sample of different lengths mostly show that one is
longer. Here the two may differ in length by a tenth at most.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from circuitseer_core.browse.filters import FINITE, Filter, quoted
from circuitseer_core.browse.store import ScoreStore

TOLERANCE = 0.1
"""By what share of the first sample's token count the other's may differ."""

_SOUGHT = 4_000


def matched_pairs(
    store: ScoreStore, rows: Filter, scorer: str, *, limit: int = 200
) -> pd.DataFrame:
    """High samples with their low partners: columns high, low, high_score, low_score.

    Starts from the ``limit`` highest scores among ``rows``, in order; the partner is the lowest
    score of the same source whose token count is within ``TOLERANCE``. A sample without a
    lower-scoring partner is left out.
    """
    where, values = store.where(_with_score(rows, scorer))
    name = quoted(scorer)
    return store.frame(
        f"WITH scored AS (SELECT id, source, n_tokens, {name} AS score "
        f"FROM samples WHERE {where}), "
        f"tops AS (SELECT * FROM scored ORDER BY score DESC, id LIMIT {int(limit)}) "
        "SELECT tops.id AS high, arg_min(scored.id, (scored.score, scored.id)) AS low, "
        "any_value(tops.score) AS high_score, min(scored.score) AS low_score "
        "FROM tops JOIN scored ON scored.source = tops.source AND scored.score < tops.score "
        f"AND scored.n_tokens BETWEEN tops.n_tokens * {1 - TOLERANCE} "
        f"AND tops.n_tokens * {1 + TOLERANCE} "
        "GROUP BY tops.id ORDER BY high_score DESC, high",
        values,
    )


def matched_sets(
    store: ScoreStore, rows: Filter, scorer: str, count: int, gap: float = 50.0
) -> pd.DataFrame:
    """``count`` high samples and as many low ones, each low sample the partner of one high one.

    From the highest score down: the partner is the lowest-scored sample that is not taken yet, of
    the same source, within ``TOLERANCE`` of the length and at least ``gap`` percentile points
    below. Sought among the 4,000 highest and lowest scores.

    Returns:
        high, low, high_score, low_score, high_place, low_place (percentiles, 0 to 100); fewer
        rows than ``count`` where no more match.
    """
    where, values = store.where(_with_score(rows, scorer))
    frame = store.frame(
        "WITH scored AS (SELECT id, source, n_tokens, score, 100 * percent_rank() OVER "
        f"(ORDER BY score) AS place FROM (SELECT id, source, n_tokens, {quoted(scorer)} AS score "
        f"FROM samples WHERE {where})) "
        f"(SELECT *, true AS top FROM scored ORDER BY score DESC, id LIMIT {_SOUGHT}) UNION ALL "
        f"(SELECT *, false AS top FROM scored ORDER BY score, id LIMIT {_SOUGHT})",
        values,
    )
    highs = frame[frame["top"]].sort_values(["score", "id"], ascending=[False, True])
    lows = frame[~frame["top"]].sort_values(["score", "id"])
    by_source = {str(name): part for name, part in lows.groupby("source")}
    taken: set[str] = set()
    pairs: list[tuple[Any, ...]] = []
    for row in highs.itertuples():
        if len(pairs) == count:
            break
        part = by_source.get(str(row.source))
        if part is None or row.id in taken:
            continue
        near = (part["n_tokens"] - row.n_tokens).abs() <= TOLERANCE * row.n_tokens
        fits = part[near & (part["place"] <= row.place - gap) & ~part["id"].isin(taken)]
        if fits.empty:
            continue
        low = fits.iloc[0]
        taken |= {str(row.id), str(low["id"])}
        pairs.append((row.id, low["id"], row.score, low["score"], row.place, low["place"]))
    columns = ["high", "low", "high_score", "low_score", "high_place", "low_place"]
    return pd.DataFrame(pairs, columns=columns)


def partner(
    store: ScoreStore, sample_id: str, scorer: str, *, rows: Filter | None = None
) -> str | None:
    """The sample of the same source and nearly the same length whose score lies furthest away.

    None where no other row comes so near in length, or the sample has no score.
    """
    name = quoted(scorer)
    own = store.frame(
        f"SELECT source, n_tokens, {name} AS score FROM samples WHERE id = ?", [sample_id]
    )
    if own.empty or pd.isna(own["score"].iloc[0]):
        return None
    source, tokens, score = own.iloc[0]
    where, values = store.where(_with_score(rows or Filter(), scorer))
    nearest = store.frame(
        f"SELECT id FROM samples WHERE {where} AND source = ? AND id <> ? "
        f"AND n_tokens BETWEEN ? AND ? ORDER BY abs({name} - ?) DESC, id LIMIT 1",
        [
            *values,
            str(source),
            sample_id,
            float(tokens * (1 - TOLERANCE)),
            float(tokens * (1 + TOLERANCE)),
            float(score),
        ],
    )
    return None if nearest.empty else str(nearest["id"].iloc[0])


def _with_score(rows: Filter, scorer: str) -> Filter:
    return replace(rows, scores=(*rows.scores, (scorer, FINITE)))
