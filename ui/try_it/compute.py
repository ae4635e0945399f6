"""What the model says of a text, kept by text, heads and ablation, so that going back is free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from circuitseer_core.aliases import Head
from circuitseer_core.runs.folder import Run
from ui.try_it.heads import How
from ui.try_it.text import Text
from ui.widgets import live_model

DRAWS = 5
"""Draws of random heads beside the set."""
KEPT = 64
"""Continuations that are kept."""
Compute = Callable[[], Any]
Show = Callable[[list[str]], object]


@dataclass(frozen=True)
class Tried:
    """``trial``: the losses; ``pieces``: (T,) texts of the tokens; ``ids``: the tokens.

    ``beside``: what the random heads are, in words.
    """

    trial: Any
    pieces: list[str]
    ids: list[int]
    beside: str


def losses(run: Run, text: Text, heads: list[Head], how: How) -> Tried:
    """Loss by token, clean and ablated, and the rise under random heads. Raises UserError."""
    key = (str(run.path), live_model.identity(run), text, tuple(heads), how.mode, how.epsilon)
    tried: Tried = _losses(key, lambda: _compute_losses(run, text, heads, how))
    return tried


def continuations(run: Run, text: Text, heads: list[Head], how: How, show: Show) -> list[list[str]]:
    """Pieces of the greedy continuation, clean and (where there are heads) ablated.

    Only what is not known yet is written: other heads leave the clean text as it is. ``show`` gets
    all texts at every token. Raises UserError.
    """
    sets = [[], heads] if heads else [[]]
    of = (str(run.path), live_model.identity(run), text.prompt, how.most)
    keys = [(*of, tuple(s), (how.mode, how.epsilon) if s else None) for s in sets]
    kept = _continuations()
    rows = {key: kept[key] for key in keys if key in kept}
    missing = [s for s, key in zip(sets, keys, strict=True) if key not in rows]

    def tell(new: list[str]) -> None:
        texts = iter(new)
        show(["".join(rows[key]) if key in rows else next(texts) for key in keys])

    if missing:
        written = _compute_continuations(run, text, missing, how, tell)
        new = [key for key in keys if key not in rows]
        kept.update(zip(new, written, strict=True))
        rows.update(zip(new, written, strict=True))
        while len(kept) > KEPT:
            kept.pop(next(iter(kept)), None)
    return [rows[key] for key in keys]


def attention(run: Run, tried: Tried, head: Head) -> Any:
    """What one head attends to in the text: an observer with ``attention`` and ``profiles``."""
    key = (str(run.path), live_model.identity(run), tuple(tried.ids), head)
    return _attention(key, lambda: _observe(run, tried, head))


@st.cache_resource(max_entries=32, show_spinner=False)
def _losses(key: Any, _compute: Compute) -> Any:
    return _compute()


@st.cache_resource(show_spinner=False)
def _continuations() -> dict[Any, list[str]]:
    """Those of all sessions, oldest first. A cached function could not draw while it computes."""
    return {}


@st.cache_resource(max_entries=32, show_spinner=False)
def _attention(key: Any, _compute: Compute) -> Any:
    return _compute()


def _compute_losses(run: Run, text: Text, heads: list[Head], how: How) -> Tried:
    from circuitseer_core.model.pieces import token_pieces
    from circuitseer_core.scoring.control_heads import beside_in_words, heads_like
    from circuitseer_core.trial.text import encode_text
    from circuitseer_core.trial.trial import ablate_text

    model = live_model.model_of(run)
    encoded = encode_text(run, model, text.prompt, text.response)
    draws = [heads_like(heads, model.heads_per_layer, 0, number) for number in range(DRAWS)]
    # Where few heads are left two draws may be the same: no second one, and no spread of theirs.
    random = [list(draw) for draw in dict.fromkeys(map(tuple, draws)) if draw]
    trial = ablate_text(model, encoded, heads, random, _mode(run, how))
    beside = beside_in_words(heads, random) if random else ""
    return Tried(trial, token_pieces(model.tokenizer, encoded.ids), encoded.ids, beside)


def _compute_continuations(
    run: Run, text: Text, sets: list[list[Head]], how: How, show: Show
) -> list[list[str]]:
    from circuitseer_core.model.pieces import text_so_far, token_pieces
    from circuitseer_core.trial.continuation import continue_greedily
    from circuitseer_core.trial.text import encode_prompt

    model = live_model.model_of(run)
    prompt = encode_prompt(run, model, text.prompt)

    def tell(rows: list[list[int]]) -> None:
        show([text_so_far(model.tokenizer, ids) for ids in rows])

    written = continue_greedily(
        model, prompt, sets, ablation=_mode(run, how), most=how.most, on_tokens=tell
    )
    return [token_pieces(model.tokenizer, ids) for ids in written]


def _observe(run: Run, tried: Tried, head: Head) -> Any:
    from circuitseer_core.scoring.inspection import observe

    return observe(live_model.model_of(run), tried.ids, [head])


def _mode(run: Run, how: How) -> Any:
    return _modes((str(run.path), live_model.identity(run), how.mode, how.epsilon), run)


@st.cache_resource(max_entries=4, show_spinner=False)
def _modes(key: tuple[Any, ...], _run: Run) -> Any:
    """The ablation; the mean outputs on the probe take a few seconds and are kept."""
    from circuitseer_core.trial.trial import ablation_mode

    return ablation_mode(_run, live_model.model_of(_run), key[2], key[3])
