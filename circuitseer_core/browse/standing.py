"""Where samples stand by a score: rank and percentile among all rows with a score.

A rank is of all rows wherever it is shown, under a filter too; what a filter changes is the place
in the list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from circuitseer_core.aliases import Floats
from circuitseer_core.browse.filters import Filter, quoted, with_score
from circuitseer_core.browse.store import ScoreStore


class Standing(NamedTuple):
    """Where one sample stands among some rows that have the score.

    Attributes:
        rank: from 1, the highest score; ties by id.
        from_lowest: place in a list with the lowest score first, from 1; ties by id.
        rows: how many rows have the score.
        percentile: of the other rows those with a lower score, 0 to 100: alike for equal scores.
    """

    rank: int
    from_lowest: int
    rows: int
    percentile: float


def standings(
    store: ScoreStore, ids: Sequence[str], scorer: str, rows: Filter | None = None
) -> dict[str, Standing]:
    """Of each id where it stands among ``rows`` (all by default).

    Ids that are not there or have no score are left out. An id that ``rows`` does not admit stands
    where it would come among them.
    """
    name = quoted(scorer)
    scored, known = store.where(with_score(Filter(within=tuple(ids)), scorer))
    own = store.frame(f"SELECT id, {name}::DOUBLE AS score FROM samples WHERE {scored}", known)
    if own.empty:
        return {}
    where, values = store.where(with_score(rows or Filter(), scorer))
    every = store.frame(f"SELECT {name}::DOUBLE AS score FROM samples WHERE {where}", values)
    scores = dict(zip(own["id"].astype(str), own["score"].tolist(), strict=True))
    return places_of(store, scores, scorer, every["score"].to_numpy(), rows)


def places_of(
    store: ScoreStore,
    own: Mapping[str, float],
    scorer: str,
    scores: Floats,
    rows: Filter | None = None,
) -> dict[str, Standing]:
    """:func:`standings` where the scores are at hand: ``own`` by id, ``scores`` (N,) of ``rows``.

    Ids are compared only where several of the rows have a score in common.
    """
    scores = scores[np.isfinite(scores)]
    counts: dict[str, tuple[int, int]] = {}
    tied: dict[str, float] = {}
    for sample_id, score in own.items():
        if not np.isfinite(score):
            continue
        above, below = int((scores > score).sum()), int((scores < score).sum())
        counts[sample_id] = above, below
        alone = 1 if rows is None or rows.empty else 0  # else it may be another's
        if len(scores) - above - below > alone:
            tied[sample_id] = score
    before = _tied_before(store, tied, scorer, rows or Filter()) if tied else {}
    return {
        sample_id: _standing(above, below, before.get(sample_id, 0), len(scores))
        for sample_id, (above, below) in counts.items()
    }


def _tied_before(
    store: ScoreStore, tied: Mapping[str, float], scorer: str, rows: Filter
) -> dict[str, int]:
    """How many of ``rows`` have the very score of an id, and an id that comes before it."""
    name = quoted(scorer)
    where, values = store.where(with_score(rows, scorer))
    parts = ", ".join([f"count(*) FILTER ({name} = ? AND id < ?)"] * len(tied))
    asked: list[Any] = [part for sample_id, score in tied.items() for part in (score, sample_id)]
    within = f"{name} IN (SELECT unnest(?::DOUBLE[]))"
    counts = store.frame(
        f"SELECT {parts} FROM samples WHERE {where} AND {within}",
        [*asked, *values, list(tied.values())],
    ).iloc[0]
    return dict(zip(tied, (int(number) for number in counts), strict=True))


def _standing(above: int, below: int, tied_before: int, total: int) -> Standing:
    return Standing(
        above + tied_before + 1,
        below + tied_before + 1,
        total,
        100.0 * below / max(total - 1, 1),
    )


def from_rank(store: ScoreStore, rows: Filter, scorer: str, rank: int) -> str | None:
    """The id of rank ``rank`` of all rows; where ``rows`` does not admit it, the next lower one.

    Where none is lower the lowest; None past either end, and where no row has a score.
    """
    return _shown(store, rows, scorer, store.at_rank(Filter(), scorer, rank))


def from_percentile(store: ScoreStore, rows: Filter, scorer: str, percentile: float) -> str | None:
    """As :func:`from_rank`, from the row that stands at ``percentile`` of all rows."""
    return _shown(store, rows, scorer, store.at_percentile(Filter(), scorer, percentile))


def _shown(store: ScoreStore, rows: Filter, scorer: str, sample_id: str | None) -> str | None:
    if sample_id is None or rows.empty:
        return sample_id
    place, total = store.rank(sample_id, scorer, rows)
    return store.at_rank(rows, scorer, min(place, total))
