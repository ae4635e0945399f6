"""Who may be drawn at all, and why the others may not.

In this order, and counted one by one: what was dropped by eye, what an exclude list names by id,
what it names by text (with every row of the same normalised prompt), what holds a benchmark's
question, what has no finite score, what has no response where one is required, exact duplicates and
near-duplicates. Must-haves (include lists, pins) survive duplicates but not exclusions: keeping
benchmark questions out of training data wins over every wish to have them in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats, Hashes, Ints
from circuitseer_core.data.row_ids import own_ids
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import reseed
from circuitseer_core.selection.decontaminate import Contamination
from circuitseer_core.selection.gumbel import pool_hashes
from circuitseer_core.selection.near_duplicates import NearDuplicates
from circuitseer_core.selection.pool import NO_TEXT, Pool

REASONS = (
    "eligible", "dropped", "excluded_id", "excluded_text", "no_score", "duplicate", "no_response",
    "contaminated", "near_duplicate",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rules:
    """What a person wants in or out, by id and by the hash of a normalised prompt.

    ``responses``: only rows that have one. ``contamination``: rows that hold a benchmark's
    questions. ``near_duplicates``: of rows that the pool knows to be nearly the same, one stays.
    ``exclude_by_text``: names of an exclude list that only prompts can tell, unless a row has them
    as its id. ``*_own``: ids that may be the data's own, without the source.
    """

    exclude_ids: frozenset[str] = frozenset()
    exclude_own: frozenset[str] = frozenset()
    exclude_texts: frozenset[int] = frozenset()
    exclude_by_text: frozenset[str] = frozenset()
    include_ids: frozenset[str] = frozenset()
    include_own: frozenset[str] = frozenset()
    include_texts: frozenset[int] = frozenset()
    dropped: frozenset[str] = frozenset()
    duplicates: bool = True
    responses: bool = False
    contamination: Contamination | None = None
    near_duplicates: bool = False


@dataclass(frozen=True, slots=True)
class Sifted:
    """``reason``: (N,) index into REASONS, 0 where a row may be drawn. ``first``: must-haves.

    ``instead`` (N,): of a near-duplicate the row that stays for it, with the Jaccard index of the
    two in ``similarity``; -1 and 0 elsewhere. None where no such rows were looked for.
    """

    reason: NDArray[np.int8]
    first: NDArray[np.bool_]
    counts: dict[str, int] = field(default_factory=dict)
    instead: Ints | None = None
    similarity: Floats | None = None


def sift(pool: Pool, rules: Rules, *, hashes: Hashes | None = None) -> Sifted:
    """Say of every row whether it may be drawn, and if not, why; see the head of this module.

    ``hashes`` (N,): ``pool_hashes`` of the pool's ids, where they are at hand.
    """
    reason = np.zeros(len(pool), dtype=np.int8)
    _mark(reason, _named(pool, rules.dropped), "dropped")
    _mark(reason, named_rows(pool, rules.exclude_ids, rules.exclude_own).rows, "excluded_id")
    if pool.prompt is not None:
        out = np.fromiter(rules.exclude_texts, np.uint64, len(rules.exclude_texts))
        # A second copy of an excluded question would smuggle it back in.
        out = np.union1d(out, pool.prompt[reason > 0])
        out = out[out != NO_TEXT]
        if len(out):
            _mark(reason, np.isin(pool.prompt, out), "excluded_text")
    elif rules.exclude_texts:
        _refuse_texts(pool, rules, reason)
    wanted = named_rows(pool, rules.include_ids, rules.include_own).rows
    if rules.include_texts and pool.prompt is not None:
        texts = np.fromiter(rules.include_texts, np.uint64, len(rules.include_texts))
        wanted |= np.isin(pool.prompt, texts)
    if rules.contamination is not None:
        _mark(reason, _named(pool, rules.contamination.ids), "contaminated")
    _mark(reason, ~np.isfinite(pool.score), "no_score")
    if rules.responses:
        if pool.answered is None:
            raise UserError("which rows have a response is not known (no column n_response_tokens)")
        _mark(reason, ~pool.answered, "no_response")
    if rules.duplicates and pool.prompt is not None:
        _mark(reason, _repeats(pool, reason == 0, wanted, hashes), "duplicate")
    instead = similarity = None
    if rules.near_duplicates:
        if pool.near is None:
            raise UserError("near-duplicates need the prompts, and the pool has none")
        instead, similarity = _near_repeats(pool, pool.near, reason == 0, wanted, hashes)
        _mark(reason, instead >= 0, "near_duplicate")
    first = wanted & (reason == 0)
    counts = dict(zip(REASONS, np.bincount(reason, minlength=len(REASONS)).tolist(), strict=True))
    counts = {"rows": len(pool), **counts, "included": int(first.sum())}
    lost = wanted & (reason > 0) & (reason != REASONS.index("duplicate"))
    counts["included_but_out"] = int(lost.sum())
    return Sifted(reason, first, counts, instead, similarity)


def check_unique(names: Sequence[str], hashes: Hashes) -> None:
    """Raise UserError where two rows share an id: the same noise would move both at once."""
    ordered = np.sort(hashes)
    for twin in np.unique(ordered[1:][ordered[1:] == ordered[:-1]]):
        ids = [names[int(row)] for row in np.flatnonzero(hashes == twin)]
        for name in ids:
            if ids.count(name) > 1:
                raise UserError(f"ids must be unique, {name!r} stands in the pool more than once")


def _mark(reason: NDArray[np.int8], rows: NDArray[np.bool_], name: str) -> None:
    reason[rows & (reason == 0)] = REASONS.index(name)


def _refuse_texts(pool: Pool, rules: Rules, reason: NDArray[np.int8]) -> None:
    """Raise UserError where an exclude list names texts, which a pool without prompts cannot tell.

    A list of ids (each of which may be a text) is none where a row has one of them.
    """
    unmatched = rules.exclude_by_text.difference(map(str, pool.ids))
    if unmatched or not (reason == REASONS.index("excluded_id")).any():
        raise UserError("an exclude list that names texts needs prompts, and the pool has none")


@dataclass(frozen=True, slots=True)
class NamedRows:
    """``rows`` (N,): which ids name. ``ambiguous``: ids that name none, as several sources have
    them."""

    rows: NDArray[np.bool_]
    ambiguous: int = 0


def named_rows(pool: Pool, ids: frozenset[str], own: frozenset[str] = frozenset()) -> NamedRows:
    """The rows of these ids; of ``own``, those that no row has as its id may be the data's."""
    rows = _named(pool, ids)
    if not own:
        return NamedRows(rows)
    wanted = own.difference(str(pool.ids[int(row)]) for row in np.flatnonzero(rows))
    if not wanted:
        return NamedRows(rows)
    sources = (pool.names[number] for number in pool.source.tolist())
    places = own_ids(zip(map(str, pool.ids), sources, strict=True), wanted)
    rows[[row for row in places.values() if row is not None]] = True
    return NamedRows(rows, sum(row is None for row in places.values()))


def _named(pool: Pool, ids: frozenset[str]) -> NDArray[np.bool_]:
    if not ids:
        return np.zeros(len(pool), dtype=bool)
    named: NDArray[np.bool_] = pd.Series(pool.ids).isin(ids).to_numpy(dtype=bool, copy=True)
    return named


def _repeats(
    pool: Pool, eligible: NDArray[np.bool_], wanted: NDArray[np.bool_], hashes: Hashes | None
) -> NDArray[np.bool_]:
    """Rows whose normalised prompt another eligible row has, all but one of each.

    The one that stays is a must-have where there is one, else the one with the smallest hash of its
    id: no source is favoured by its name, and the choice does not depend on row order or seed.
    """
    repeats = np.zeros(len(pool), dtype=bool)
    if pool.prompt is None:
        return repeats
    rows = np.flatnonzero(eligible & (pool.prompt != NO_TEXT))
    rows = rows[np.argsort(pool.prompt[rows])]
    same = np.diff(pool.prompt[rows]) == 0
    if not same.any():
        return repeats
    inside = np.zeros(len(rows), dtype=bool)
    inside[1:] = same
    inside[:-1] |= same
    rows = rows[inside]
    rows = rows[np.lexsort((*_luck(pool, rows, hashes), ~wanted[rows], pool.prompt[rows]))]
    repeats[rows[1:]] = np.diff(pool.prompt[rows]) == 0
    return repeats


def _near_repeats(
    pool: Pool,
    near: NearDuplicates,
    eligible: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
    hashes: Hashes | None,
) -> tuple[Ints, Floats]:
    """(N,) the row that stays for each near-duplicate, else -1; (N,) how alike the two are.

    Rows are gone through in the order of ``_repeats``. One that is near a row that stays goes, so
    that every row that goes has a row that stays; must-haves stay whatever they are near.
    """
    instead = np.full(len(pool), -1, dtype=np.int64)
    similarity = np.zeros(len(pool))
    neighbours = near.neighbours()
    nodes = near.node[eligible & (near.node >= 0)]
    rows_of = np.bincount(nodes, minlength=1)
    several = set(np.flatnonzero(rows_of > 1).tolist()) | neighbours.keys()
    rows = np.flatnonzero(eligible & np.isin(near.node, list(several)))
    rows = rows[np.lexsort((*_luck(pool, rows, hashes), ~wanted[rows]))]
    stays: dict[int, int] = {}  # node → place in the order
    for place, (row, node) in enumerate(zip(rows, near.node[rows].tolist(), strict=True)):
        alike = [(1.0, node), *((value, other) for other, value in neighbours.get(node, ()))]
        kept = [(value, -stays[other]) for value, other in alike if other in stays]
        if kept and not wanted[row]:
            nearest, earlier = max(kept)
            similarity[row], instead[row] = nearest, rows[-earlier]
        else:
            stays.setdefault(node, place)
    return instead, similarity


def _luck(pool: Pool, rows: Ints, hashes: Hashes | None) -> tuple[NDArray[Any], Hashes]:
    """Sort keys of rows, the last first: a hash of the id, and where two agree the id's place."""

    def ids() -> list[str]:
        taken = pool.ids.take(rows) if hasattr(pool.ids, "take") else [pool.ids[i] for i in rows]
        return [str(sample) for sample in getattr(taken, "tolist", lambda: taken)()]

    own = pool_hashes(ids()) if hashes is None else hashes[rows]
    luck = reseed(own, 0, "duplicate")
    # Two ids share a hash about once in 1e4 pools of a million: only then is the name asked.
    if len(np.unique(luck)) == len(luck):
        return np.zeros(len(luck)), luck
    return np.argsort(np.argsort(np.array(ids(), dtype=object))), luck
