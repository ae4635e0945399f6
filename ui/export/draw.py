"""The draw in view, computed once for every state of the dial and kept in pieces.

What each piece depends on decides what a turn of the dial costs: hashes of ids on nothing but the
ids, the sifted pool on judgements by eye and on which rows have a score, top-k on neither
temperature nor seed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st
from numpy.typing import NDArray

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import reseed, to_gumbels
from circuitseer_core.runs.columns import TOKEN_COLUMNS
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.selection_records import SelectionRecord, SourceShare
from circuitseer_core.runs.texts import pool_prompts
from circuitseer_core.selection import effect as preview
from circuitseer_core.selection import lists
from circuitseer_core.selection.diagnostics import diagnose
from circuitseer_core.selection.draw import Drawing, draw
from circuitseer_core.selection.effect import Effect
from circuitseer_core.selection.gumbel import DRAW_DOMAIN, pool_hashes
from circuitseer_core.selection.overlap import NoiseFloor, floor_against
from circuitseer_core.selection.pool import Pool, pool_of
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.sift import Rules, Sifted, check_unique, sift
from ui import cached_scores as cached
from ui.cached_scores import HASH


def _path(run: Run) -> str:
    return str(run.path)


_KEYS: dict[Any, Any] = HASH | {SelectionSettings: repr, Rules: hash, Run: _path}
_HEAD = 8


@dataclass(frozen=True)
class Shown:
    """A draw as the page shows it: numbers, first rows, and the row numbers of all drawn."""

    effect: Effect
    head: pd.DataFrame
    rows: NDArray[np.int64]


def shown(run: Run, store: ScoreStore, settings: SelectionSettings) -> Shown:
    """The draw that these settings make. Raises UserError where it is impossible."""
    return _shown(store, _plain(settings), lists.run_rules(run, settings))


def simulated(run: Run, store: ScoreStore, settings: SelectionSettings) -> list[SourceShare]:
    """What 200 other seeds would draw from each source (see ``diagnostics``)."""
    return _simulated(store, _plain(settings), lists.run_rules(run, settings))


def overlaps(run: Run, store: ScoreStore, drawn: Shown, names: list[str]) -> dict[str, float]:
    """Share of the draw in view that each kept selection holds too; NaN for a damaged one."""
    shares = {}
    for name in names:
        written = (run.selection_dir(name) / "selection.json").stat().st_mtime_ns
        try:
            shares[name] = float(_kept(store, run, name, written)[drawn.rows].mean())
        except UserError:  # its ids cannot be read: what it is can still be seen
            shares[name] = float("nan")
    return shares


def floors(
    run: Run, store: ScoreStore, settings: SelectionSettings, kept: dict[str, SelectionRecord]
) -> dict[str, NoiseFloor | None]:
    """What of the draw in view each kept selection would hold had its scores no meaning."""
    view, rules = _plain(settings), lists.run_rules(run, settings)
    found: dict[str, NoiseFloor | None] = {}
    for name, record in kept.items():
        other = SelectionSettings.of(**record.settings.to_json())
        try:
            found[name] = _floor(
                store, view, rules, _plain(other), record.temperature, record.counts.selected
            )
        except UserError:  # a scorer that is no more, scores below 0
            found[name] = None
    return found


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=_KEYS)
def _floor(
    store: ScoreStore,
    view: SelectionSettings,
    rules: Rules,
    other: SelectionSettings,
    temperature: float,
    rows: int,
) -> NoiseFloor | None:
    if other.scorer not in store.columns:
        return None
    drawing = _draw(store, view, rules)
    score = cached.numbers(store, other.scorer)[drawing.where]
    known = np.isfinite(score)
    if not known.any():
        return None
    score = score[known]
    if other.lowest:
        score = score.max() + score.min() - score
    own = np.zeros(len(known), dtype=bool)
    own[drawing.chosen] = True
    noise = to_gumbels(_hashes(store, other.seed)[drawing.where][known])
    return floor_against(own[known], score, noise, temperature, min(rows, len(score)))


def _plain(settings: SelectionSettings) -> SelectionSettings:
    """Settings without the name, on which no draw depends."""
    return settings.model_copy(update={"name": "preview"})


def _pool_settings(settings: SelectionSettings) -> SelectionSettings:
    """The part of the settings that the pool depends on."""
    part = ("scorer", "tokens", "token_field", "duplicates")
    return SelectionSettings.of(**{name: getattr(settings, name) for name in part})


@st.cache_resource(max_entries=24, show_spinner=False, hash_funcs=_KEYS)
def _shown(store: ScoreStore, settings: SelectionSettings, rules: Rules) -> Shown:
    drawn = _draw(store, settings, rules)
    fixed = settings.model_copy(update={"temperature": 1.0, "target_ess": None, "seed": 0})
    top = _top(store, fixed, rules, drawn)
    kept = ("scorer", "tokens", "token_field", "duplicates", "length_control")
    pool = SelectionSettings.of(**{name: getattr(settings, name) for name in kept})
    placed = _places(store, pool, rules, drawn)
    return Shown(preview.effect(drawn, top, placed), _head(store, drawn), drawn.rows)


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=_KEYS)
def _top(
    store: ScoreStore, settings: SelectionSettings, rules: Rules, _drawn: Drawing
) -> NDArray[np.int64]:
    """Top-k under these limits; ``_drawn`` is any draw under them, whatever its dial and seed."""
    return preview.top_rows(_drawn)


@st.cache_resource(max_entries=3, show_spinner=False, hash_funcs=_KEYS)
def _places(
    store: ScoreStore, settings: SelectionSettings, rules: Rules, _drawn: Drawing
) -> preview.Places:
    """Bins of the pool; ``_drawn`` is any draw from it."""
    return preview.places(_drawn)


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=_KEYS)
def _simulated(store: ScoreStore, settings: SelectionSettings, rules: Rules) -> list[SourceShare]:
    return diagnose(_draw(store, settings, rules)).sources


def _draw(store: ScoreStore, settings: SelectionSettings, rules: Rules) -> Drawing:
    pool, finite = _pool(store, _pool_settings(settings))
    sifted = _sifted(store, settings.duplicates, rules, finite, pool)
    return draw(pool, settings, rules, sifted=sifted, hashes=_hashes(store, settings.seed))


@st.cache_resource(max_entries=3, show_spinner=False, hash_funcs=_KEYS)
def _pool(store: ScoreStore, settings: SelectionSettings) -> tuple[Pool, str]:
    """The pool, and a digest of which of its rows have a score."""
    base, prompts = _base(store)
    score = cached.numbers(store, settings.scorer)
    pool = pool_of(
        base,
        score,
        settings,
        store.settings.text,
        prompts if settings.duplicates == "remove" else None,
    )
    return pool, hashlib.blake2b(np.packbits(np.isfinite(score)).tobytes()).hexdigest()


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=_KEYS)
def _sifted(store: ScoreStore, duplicates: str, rules: Rules, finite: str, _pool: Pool) -> Sifted:
    return sift(_pool, rules)


@st.cache_resource(max_entries=2, show_spinner=False, hash_funcs=_KEYS)
def _base(store: ScoreStore) -> tuple[pd.DataFrame, NDArray[np.uint64] | None]:
    """Ids, sources and token counts, and the prompts' hashes."""
    columns = [c for c in ("id", "source", *TOKEN_COLUMNS) if c in store.columns]
    return store.table(columns).to_pandas(), pool_prompts(store.run, store.name)


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=_KEYS)
def _hashes(store: ScoreStore, seed: int) -> NDArray[np.uint64]:
    return reseed(_id_hashes(store), seed, DRAW_DOMAIN)


@st.cache_resource(max_entries=2, show_spinner=False, hash_funcs=_KEYS)
def _id_hashes(store: ScoreStore) -> NDArray[np.uint64]:
    """What the noise of every seed is made of, and slow to make; every id found to be unique."""
    hashes = pool_hashes(_base(store)[0]["id"].array)
    plain = SelectionSettings.of(scorer=store.scorers[0], duplicates="keep")
    check_unique(_pool(store, plain)[0], hashes)
    return hashes


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=_KEYS)
def _kept(store: ScoreStore, run: Run, name: str, written: int) -> NDArray[np.bool_]:
    """(N,) whether a kept selection holds the row; ``written`` tells its versions apart."""
    kept = run.selection_ids(name)["id"].array
    is_kept = pc.is_in(pa.array(_base(store)[0]["id"].array), value_set=pa.array(kept))
    return np.asarray(is_kept, dtype=bool)


def _head(store: ScoreStore, drawn: Drawing) -> pd.DataFrame:
    """The first rows of a draw: rank, id, source, tokens, score, text."""
    chosen = drawn.chosen[:_HEAD]
    ids = [str(drawn.pool.ids[int(i)]) for i in chosen]
    texts = store.texts_of(ids, drawn.rows[:_HEAD])
    names = np.array(drawn.pool.names, dtype=object)
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(chosen) + 1),
            "id": ids,
            "source": names[drawn.pool.source[chosen]],
            "tokens": drawn.pool.length[chosen].astype(int),
            "score": drawn.pool.score[chosen],
            "text": [" ".join(texts.get(i, "").split()) for i in ids],
        }
    )
