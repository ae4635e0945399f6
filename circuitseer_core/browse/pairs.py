"""Pairs of samples to hold side by side: of one source, of nearly one length, of different score.

Length drives some scores, so a high and a low sample of different lengths mostly show that one is
longer. Here the two may differ in length by a tenth at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Floats
from circuitseer_core.browse.filters import Filter, quoted, with_score
from circuitseer_core.browse.places import COLUMNS
from circuitseer_core.browse.store import ScoreStore

TOLERANCE = 0.1
"""By what share of the first sample's token count the other's may differ."""


def matched_pairs(
    store: ScoreStore, rows: Filter, scorer: str, *, limit: int = 200
) -> pd.DataFrame:
    """High samples with their low partners: columns high, low, high_score, low_score.

    Starts from the ``limit`` highest scores among ``rows``, in order; the partner is the lowest
    score of the same source whose token count is within ``TOLERANCE``. A sample without a
    lower-scoring partner is left out.
    """
    where, values = store.where(with_score(rows, scorer))
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
    below. Sought among the highest and lowest of every source and band of lengths (a band is as
    wide as the tolerance), ``2 * count + 1`` of each, so that a score that follows length does not
    leave long high samples without a partner.

    Returns:
        high, low, source, and of each of the two, as high_… and low_…: score, place (percentile
        among all rows, 0 to 100: the share of the others with a lower score), tokens, row (place in
        data order). Fewer rows than ``count`` where no more match.
    """
    most = 2 * int(count) + 1  # so many may be taken before, as partners or as high samples
    frame = _ends(store, rows, scorer, most=most)
    highs = frame[frame["top"]].sort_values(["score", "id"], ascending=[False, True])
    lows = {
        str(name): _Lows(part)
        for name, part in frame[frame["bottom"]].sort_values(["score", "id"]).groupby("source")
    }
    taken: set[str] = set()
    pairs: list[tuple[Any, ...]] = []
    for row in highs.itertuples():
        if len(pairs) == count:
            break
        part = lows.get(str(row.source))
        if part is None or row.id in taken:
            continue
        at = part.first(row.n_tokens, row.place - gap, row.score, taken)
        if at is None:
            continue
        low = part.ids[at]
        taken |= {str(row.id), low}
        of_high = (row.score, row.place, row.n_tokens, row.row)
        pairs.append((row.id, low, row.source, *of_high, *part.facts(at)))
    facts = ("score", "place", "tokens", "row")
    sides = [f"{side}_{fact}" for side in ("high", "low") for fact in facts]
    return pd.DataFrame(pairs, columns=["high", "low", "source", *sides])


def _ends(store: ScoreStore, rows: Filter, scorer: str, *, most: int) -> pd.DataFrame:
    """The ``most`` highest (``top``) and lowest (``bottom``) of every source and band of lengths.

    Columns id, source, n_tokens, score, top, bottom, place (percentile, 0 to 100), row (its place
    in data order).
    """
    where, values = store.where(with_score(rows, scorer))
    name = quoted(scorer)
    # Aggregates find each band's ends first: ranking all rows takes ten times as long.
    frame = store.frame(
        f"WITH scored AS (SELECT id, source, n_tokens, {name} AS score, {COLUMNS}, "
        f"floor(ln(greatest(n_tokens, 1)) / ln({1 + TOLERANCE})) AS band FROM samples "
        f"WHERE {where}), edges AS (SELECT source, band, max(score, {most})[-1] AS high, "
        f"min(score, {most})[-1] AS low FROM scored GROUP BY source, band), ends AS (SELECT *, "
        "row_number() OVER (PARTITION BY source, band ORDER BY score DESC, id) AS from_top, "
        "row_number() OVER (PARTITION BY source, band ORDER BY score, id) AS from_bottom "
        "FROM scored JOIN edges USING (source, band) WHERE score >= high OR score <= low) "
        f"SELECT id, source, n_tokens, score, {COLUMNS}, from_top <= {most} AS top, "
        f"from_bottom <= {most} AS bottom FROM ends "
        f"WHERE from_top <= {most} OR from_bottom <= {most}",
        values,
    )
    frame["place"] = _percentiles(store, scorer, frame["score"].to_numpy())
    return frame.assign(row=store.in_data_order(frame))


def _percentiles(store: ScoreStore, scorer: str, scores: Floats) -> Floats:
    """(N,) of each score the share of all other rows with a lower one, 0 to 100."""
    where, values = store.where(with_score(Filter(), scorer))
    every = store.frame(f"SELECT {quoted(scorer)} FROM samples WHERE {where}", values)
    below = np.searchsorted(np.sort(every.to_numpy()[:, 0]), scores)
    return 100 * below / max(1, len(every) - 1)


class _Lows:
    """The low samples of one source, from the lowest score up."""

    def __init__(self, part: pd.DataFrame) -> None:
        self.ids: list[str] = part["id"].astype(str).tolist()
        self.score = part["score"].to_numpy()
        self.place = part["place"].to_numpy()
        self._tokens = part["n_tokens"].to_numpy()
        self._rows = part["row"].to_numpy()

    def facts(self, at: int) -> tuple[float, float, int, int]:
        """Score, place, tokens and row of one of them."""
        return self.score[at], self.place[at], self._tokens[at], self._rows[at]

    def first(self, tokens: int, place: float, score: float, taken: set[str]) -> int | None:
        """The lowest that fits a high sample and is not taken: up to ``place``, below ``score``."""
        fits = (np.abs(self._tokens - tokens) <= TOLERANCE * tokens) & (self.place <= place)
        fitting = np.flatnonzero(fits & (self.score < score))
        return next((int(at) for at in fitting if self.ids[at] not in taken), None)


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
    where, values = store.where(with_score(rows or Filter(), scorer))
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
