"""Where samples stand by a score: rank and percentile among all rows with a score.

A rank is of all rows wherever it is shown, under a filter too; what a filter changes is the place
in the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

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
    """Of each id where it stands among ``rows`` (all by default), in one scan of the scores.

    Ids that are not there or have no score are left out. An id that ``rows`` does not admit stands
    where it would come among them.
    """
    name = quoted(scorer)
    where, values = store.where(with_score(rows or Filter(), scorer))
    scored, known = store.where(with_score(Filter(within=tuple(ids)), scorer))
    own = store.frame(f"SELECT id, {name}::DOUBLE AS score FROM samples WHERE {scored}", known)
    if own.empty:
        return {}
    parts: list[str] = []
    asked: list[Any] = []
    for sample_id, score in own.itertuples(index=False):
        parts += [
            f"count(*) FILTER ({name} > ?)",
            f"count(*) FILTER ({name} < ?)",
            f"count(*) FILTER ({name} = ? AND id < ?)",
        ]
        asked += [score, score, score, sample_id]
    counts = store.frame(
        f"SELECT count(*), {', '.join(parts)} FROM samples WHERE {where}", [*asked, *values]
    ).iloc[0]
    total, *rest = (int(number) for number in counts)
    placed = {}
    for i, sample_id in enumerate(own["id"]):
        above, below, tied_before = rest[3 * i : 3 * i + 3]
        placed[str(sample_id)] = _standing(above, below, tied_before, total)
    return placed


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
