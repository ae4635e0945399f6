"""The draw in view, computed once for every state of the dial and kept in pieces.

What each depends on decides what a turn of the dial costs: hashes of ids on the ids alone, the
sifted pool on judgements by eye and which rows have a score, top-k on neither temperature nor seed.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from circuitseer_core.aliases import Hashes, Ints
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import reseed, to_gumbels
from circuitseer_core.runs.columns import TOKEN_COLUMNS
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.reading import scored_fields
from circuitseer_core.runs.selection_records import LengthTarget, RemovalsRecord, SourceShare
from circuitseer_core.runs.texts import pool_prompts
from circuitseer_core.selection import lists
from circuitseer_core.selection.diagnostics import diagnose, strata_shares
from circuitseer_core.selection.draw import Drawing, draw
from circuitseer_core.selection.effect import Effect, Places, effect, places, top_rows
from circuitseer_core.selection.gumbel import DRAW_DOMAIN, pool_hashes
from circuitseer_core.selection.length_target import target_in_run
from circuitseer_core.selection.overlap import NoiseFloor, floor_against
from circuitseer_core.selection.pool import Pool, pool_of
from circuitseer_core.selection.removals import (
    removals_record,
    removed_frame,
)
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.sift import Rules, Sifted, check_unique, sift
from ui import cached_scores
from ui.cached_scores import HASH
from ui.export.rules import (
    contamination,
    file_stamps,
    lists_as_read,
    near_duplicates,
    strata_of,
)


def _path(run: Run) -> str:
    return str(run.path)


_KEYS: dict[Any, Any] = HASH | {
    SelectionSettings: repr,
    Rules: hash,
    Run: _path,
    LengthTarget: repr,
}
_HEAD = 8


@dataclass(frozen=True)
class Shown:
    """A draw as the page shows it: numbers, first rows, the (k,) rows of all drawn, in order.

    ``removals`` and ``removed``: what went before the draw, in numbers and row by row. ``strata``:
    source (the value of the column that shared the budget), before, after; empty of sources.
    """

    effect: Effect
    head: pd.DataFrame
    rows: Ints
    removals: RemovalsRecord | None
    removed: pd.DataFrame
    strata: pd.DataFrame


def shown(run: Run, store: ScoreStore, settings: SelectionSettings) -> Shown:
    """The draw that these settings make. Raises UserError where it is impossible."""
    return _shown(store, *_asked(run, store, settings))


def is_kept(run: Run, store: ScoreStore, drawn: Shown, settings: SelectionSettings) -> bool:
    """Whether the selection of this name holds this very draw: same settings, same rows in order.

    Marks made by eye, lists and scores may have changed since it was kept.
    """
    record = run.selection_records().get(settings.name)
    if record is None:
        return False
    try:
        kept = SelectionSettings.of(**record.settings.to_json())
        if not kept.same_draw(settings):
            return False
        rows = _kept(store, run, settings.name, _written(run, settings.name))
    except UserError:  # written by another version, or damaged
        return False
    return np.array_equal(rows, drawn.rows)


def simulated(run: Run, store: ScoreStore, settings: SelectionSettings) -> list[SourceShare]:
    """What 200 other seeds would draw from each source (see ``diagnostics``)."""
    return _simulated(store, *_asked(run, store, settings))


def overlaps(run: Run, store: ScoreStore, drawn: Shown, names: list[str]) -> dict[str, float]:
    """Share of the draw in view that each kept selection holds too; NaN for a damaged one."""
    shares = {}
    for name in names:
        try:
            shares[name] = float(
                np.isin(drawn.rows, _kept(store, run, name, _written(run, name))).mean()
            )
        except UserError:  # its ids cannot be read: what it is can still be seen
            shares[name] = float("nan")
    return shares


def floors(
    run: Run, store: ScoreStore, view: SelectionSettings, kept: dict[str, SelectionSettings]
) -> dict[str, NoiseFloor | None]:
    """What of the draw in view each kept selection would hold had its scores no meaning.

    None for one from another scoring, or whose scores cannot be drawn from any more.
    """
    asked, records = _asked(run, store, view), run.selection_records()
    noise_floors: dict[str, NoiseFloor | None] = dict.fromkeys(kept)
    for name, other in kept.items():
        record = records[name]
        if record.scores == store.name and other.scorer in store.columns:
            rows, lowest = record.counts.selected, other.lowest
            with suppress(UserError):
                noise_floors[name] = _floor(
                    store, *asked, other.scorer, other.seed, lowest, record.temperature, rows
                )
    return noise_floors


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=_KEYS)
def _floor(
    store: ScoreStore,
    view: SelectionSettings,
    rules: Rules,
    target: LengthTarget | None,
    scorer: str,
    seed: int,
    lowest: bool,
    temperature: float,
    rows: int,
) -> NoiseFloor | None:
    """Of the draw in view; scorer to rows are the kept one's."""
    drawing = _draw(store, view, rules, target)
    score = cached_scores.numbers(store, scorer)[drawing.where]
    known = np.isfinite(score)
    if not known.any():
        return None
    score = score[known]
    if lowest:
        score = score.max() + score.min() - score
    own = np.zeros(len(known), dtype=bool)
    own[drawing.chosen] = True
    noise = to_gumbels(_hashes(store, seed)[drawing.where][known])
    return floor_against(own[known], score, noise, temperature, min(rows, len(score)))


def _written(run: Run, name: str) -> int:
    return (run.selection_dir(name) / "selection.json").stat().st_mtime_ns


def _asked(
    run: Run, store: ScoreStore, settings: SelectionSettings
) -> tuple[SelectionSettings, Rules, LengthTarget | None]:
    """What a draw depends on: settings without the name, rules, the lengths to match."""
    stamps = file_stamps((*settings.exclude, *settings.include))
    known = scored_fields(run, settings.scores)
    named = lists_as_read(settings.exclude, settings.include, stamps, known)
    overlap = None
    if benchmarks := settings.decontaminate:
        overlap = contamination(store, benchmarks, settings.run_words, file_stamps(benchmarks))
    rules = lists.run_rules(run, settings, named, overlap)
    plain = settings.model_copy(update={"name": ""})
    target = None
    if settings.match_lengths is not None:
        target = target_in_run(run, plain, _pool(store, _pool_settings(settings))[0], rules)
    return plain, rules, target


def _pool_settings(settings: SelectionSettings) -> SelectionSettings:
    """The part of the settings that the pool depends on."""
    part = ["scorer", "tokens", "token_field", "duplicates", "match_lengths", "near_duplicates"]
    if settings.stratify_by != "source":
        part += ["stratify", "stratify_by"]
    return SelectionSettings.of(**{name: getattr(settings, name) for name in part})


@st.cache_resource(max_entries=24, show_spinner=False, hash_funcs=_KEYS)
def _shown(
    store: ScoreStore, settings: SelectionSettings, rules: Rules, target: LengthTarget | None
) -> Shown:
    drawn = _draw(store, settings, rules, target)
    fixed = settings.model_copy(update={"temperature": 1.0, "target_ess": None, "seed": 0})
    top = _top(store, fixed, rules, target, drawn)
    kept = ("length_control", "lowest")
    pool = _pool_settings(settings).model_copy(update={n: getattr(settings, n) for n in kept})
    placed = _places(store, pool, rules, drawn)
    everyone = _pool(store, _pool_settings(settings))[0]
    removed = removed_frame(everyone, drawn.sifted, rules.contamination)
    return Shown(
        effect=effect(drawn, top, placed),
        head=_head(store, drawn, settings.scorer),
        rows=drawn.rows,
        removals=removals_record(removed, rules.contamination, everyone.near),
        removed=removed,
        strata=pd.DataFrame(
            [(s.value, s.pool_share, s.share) for s in strata_shares(drawn)],
            columns=["source", "before", "after"],
        ),
    )


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=_KEYS)
def _top(
    store: ScoreStore,
    settings: SelectionSettings,
    rules: Rules,
    target: LengthTarget | None,
    _drawn: Drawing,
) -> Ints:
    """Top-k under these limits; ``_drawn`` is any draw under them, whatever its dial and seed."""
    return top_rows(_drawn)


@st.cache_resource(max_entries=3, show_spinner=False, hash_funcs=_KEYS)
def _places(
    store: ScoreStore, settings: SelectionSettings, rules: Rules, _drawn: Drawing
) -> Places:
    """Bins of the pool; ``_drawn`` is any draw from it."""
    return places(_drawn)


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=_KEYS)
def _simulated(
    store: ScoreStore, settings: SelectionSettings, rules: Rules, target: LengthTarget | None
) -> list[SourceShare]:
    return diagnose(_draw(store, settings, rules, target)).sources


def _draw(
    store: ScoreStore, settings: SelectionSettings, rules: Rules, target: LengthTarget | None
) -> Drawing:
    pool, finite = _pool(store, _pool_settings(settings))
    kinds = (settings.duplicates, settings.near_duplicates)
    sifted = _sifted(store, kinds, rules, finite, pool)
    hashes = _hashes(store, settings.seed)
    return draw(pool, settings, rules, target=target, sifted=sifted, hashes=hashes)


@st.cache_resource(max_entries=3, show_spinner=False, hash_funcs=_KEYS)
def _pool(store: ScoreStore, settings: SelectionSettings) -> tuple[Pool, str]:
    """The pool, and a digest of which of its rows have a score."""
    base, prompts = _base(store)
    score = cached_scores.numbers(store, settings.scorer)
    pool = pool_of(
        base,
        score,
        settings,
        store.settings.text,
        prompts if settings.duplicates == "remove" else None,
    )
    if settings.near_duplicates is not None:
        pool = replace(pool, near=near_duplicates(store, settings.near_duplicates))
    if settings.stratify_by != "source":
        stratum, values = strata_of(store, settings.stratify_by)
        pool = replace(pool, stratum=stratum, strata=values)
    return pool, hashlib.blake2b(np.packbits(np.isfinite(score)).tobytes()).hexdigest()


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=_KEYS)
def _sifted(
    store: ScoreStore, kinds: tuple[str, float | None], rules: Rules, finite: str, _pool: Pool
) -> Sifted:
    """``kinds``: how exact and near duplicates are dealt with."""
    return sift(_pool, rules, hashes=_id_hashes(store))


@st.cache_resource(max_entries=2, show_spinner=False, hash_funcs=_KEYS)
def _base(store: ScoreStore) -> tuple[pd.DataFrame, Hashes | None]:
    """Ids, sources and token counts, and the prompts' hashes."""
    columns = [c for c in ("id", "source", *TOKEN_COLUMNS) if c in store.columns]
    return store.table(columns).to_pandas(), pool_prompts(store.run, store.name)


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=_KEYS)
def _hashes(store: ScoreStore, seed: int) -> Hashes:
    return reseed(_id_hashes(store), seed, DRAW_DOMAIN)


@st.cache_resource(max_entries=2, show_spinner=False, hash_funcs=_KEYS)
def _id_hashes(store: ScoreStore) -> Hashes:
    """What the noise of every seed is made of, and slow to make; every id found to be unique."""
    ids = _base(store)[0]["id"].array
    hashes = pool_hashes(ids)
    check_unique(ids, hashes)
    return hashes


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=_KEYS)
def _kept(store: ScoreStore, run: Run, name: str, written: int) -> Ints:
    """(k,) rows of a kept selection in its order, -1 where this scoring has no such sample.

    ``written`` tells versions of the selection apart.
    """
    ids = pa.array(_base(store)[0]["id"].array)
    kept = pa.array(run.selection_ids(name)["id"].array).cast(ids.type)
    place = pc.index_in(ids, value_set=kept).fill_null(-1).to_numpy(zero_copy_only=False)
    here = np.flatnonzero(place >= 0)
    rows = np.full(len(kept), -1, dtype=np.int64)
    rows[place[here]] = here
    return rows


def _head(store: ScoreStore, drawn: Drawing, scorer: str) -> pd.DataFrame:
    """The first rows of a draw: order, id, source, tokens, score, rank (of the score), text."""
    chosen = drawn.chosen[:_HEAD]
    ids = [str(drawn.pool.ids[int(i)]) for i in chosen]
    texts = store.texts_at(drawn.rows[:_HEAD])
    names = np.array(drawn.pool.names, dtype=object)
    scores = drawn.pool.score[chosen]
    own = dict(zip(ids, scores.tolist(), strict=True))
    standings = cached_scores.standings(store, own, scorer)
    return pd.DataFrame(
        {
            "order": np.arange(1, len(chosen) + 1),
            "id": ids,
            "source": names[drawn.pool.source[chosen]],
            "tokens": drawn.pool.length[chosen].astype(int),
            "score": scores,
            "rank": [standings[name].rank for name in ids],
            "text": [" ".join(texts.get(i, "").split()) for i in ids],
        }
    )
