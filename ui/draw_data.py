"""The draw in view, computed once for every state of the dial and kept in pieces.

What each piece depends on decides what a turn of the dial costs: hashes of ids on the seed, the
sifted pool on scorer and judgements by eye, top-k on neither temperature nor seed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from circuitseer_core import preview, select_run
from circuitseer_core.candidates import Pool, Rules, Sifted, check_unique, sift
from circuitseer_core.diagnostics import diagnose
from circuitseer_core.keys import draw_hashes
from circuitseer_core.preview import Effect
from circuitseer_core.query import ScoreStore
from circuitseer_core.runs import Run
from circuitseer_core.sampling import TOKEN_COLUMNS, Drawing, draw
from circuitseer_core.settings import SelectionSettings
from ui import store as cached
from ui.store import HASH


def _path(run: Run) -> str:
    return str(run.path)


_KEYS: dict[Any, Any] = HASH | {SelectionSettings: repr, Rules: hash, Run: _path}
_ANY_DRAW = {"temperature": 1.0, "target_ess": None, "seed": 0}


def drawing(run: Run, store: ScoreStore, settings: SelectionSettings) -> Drawing:
    """The draw that these settings make. Raises UserError where it is impossible."""
    rules = select_run.run_rules(run, settings)
    return _draw(store, _budget(settings), settings, rules)


def effect(run: Run, store: ScoreStore, settings: SelectionSettings) -> Effect:
    """The draw in numbers. Raises UserError where it is impossible."""
    rules = select_run.run_rules(run, settings)
    return _effect(store, _plain(settings), rules)


def simulated(run: Run, store: ScoreStore, settings: SelectionSettings) -> list[dict[str, Any]]:
    """What 200 other seeds would draw from each source (see ``diagnostics``)."""
    return _simulated(store, _plain(settings), select_run.run_rules(run, settings))


def first_rows(store: ScoreStore, drawn: Drawing, count: int) -> pd.DataFrame:
    """The first ``count`` rows of a draw: rank, id, source, tokens, score, chance, text."""
    chosen = drawn.chosen[:count]
    ids = [str(drawn.pool.ids[int(i)]) for i in chosen]
    texts = store.texts_of(ids)
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


def overlaps(run: Run, drawn: Drawing, names: list[str]) -> dict[str, float]:
    """Share of the draw in view that each kept selection holds too."""
    ids = pd.Series(drawn.pool.ids).iloc[drawn.chosen]
    return {name: float(ids.isin(set(run.selection_ids(name)["id"])).mean()) for name in names}


def _plain(settings: SelectionSettings) -> SelectionSettings:
    """Settings without what no draw depends on, so that a new name costs nothing."""
    return settings.model_copy(update={"name": "preview"})


def _budget(settings: SelectionSettings) -> SelectionSettings:
    """Settings without temperature and seed: what the pool depends on."""
    return _plain(settings).model_copy(update=_ANY_DRAW)


def _draw(
    store: ScoreStore, budget: SelectionSettings, settings: SelectionSettings, rules: Rules
) -> Drawing:
    pool, sifted = _pool(store, budget, rules)
    return draw(pool, settings, rules, sifted=sifted, hashes=_hashes(store, settings.seed))


@st.cache_resource(max_entries=24, show_spinner=False, hash_funcs=_KEYS)
def _effect(store: ScoreStore, settings: SelectionSettings, rules: Rules) -> Effect:
    budget = _budget(settings)
    drawn = _draw(store, budget, settings, rules)
    return preview.effect(drawn, _top(store, budget, rules))


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=_KEYS)
def _top(store: ScoreStore, budget: SelectionSettings, rules: Rules) -> NDArray[np.int64]:
    return preview.top_rows(_draw(store, budget, budget, rules))


@st.cache_resource(max_entries=8, show_spinner=False, hash_funcs=_KEYS)
def _simulated(
    store: ScoreStore, settings: SelectionSettings, rules: Rules
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = diagnose(_draw(store, _budget(settings), settings, rules))[
        "sources"
    ]
    return found


@st.cache_resource(max_entries=3, show_spinner=False, hash_funcs=_KEYS)
def _pool(store: ScoreStore, budget: SelectionSettings, rules: Rules) -> tuple[Pool, Sifted]:
    base, prompts = _base(store)
    pool = preview.pool_of(
        base,
        cached.numbers(store, budget.scorer),
        budget,
        str(store.settings.get("text", "prompt")),
        prompts if budget.duplicates == "remove" else None,
    )
    return pool, sift(pool, rules)


@st.cache_resource(max_entries=2, show_spinner=False, hash_funcs=_KEYS)
def _base(store: ScoreStore) -> tuple[pd.DataFrame, NDArray[np.uint64] | None]:
    """Ids, sources and token counts; and, side by side with reading them, prompts' hashes."""
    with ThreadPoolExecutor(1) as other:
        prompts = other.submit(preview.coarse_prompts, store)
        columns = [c for c in ("id", "source", *TOKEN_COLUMNS) if c in store.columns]
        frame = store.table(columns).to_pandas()
        return frame, prompts.result()


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=_KEYS)
def _hashes(store: ScoreStore, seed: int) -> NDArray[np.uint64]:
    base, _ = _base(store)
    found = draw_hashes(base["id"].array, seed)
    if seed == 0:  # ids are unique or not whatever the seed
        pool, _ = _pool(
            store, SelectionSettings.of(scorer=store.scorers[0]), Rules(duplicates=False)
        )
        check_unique(pool, found)
    return found
