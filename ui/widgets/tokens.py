"""The token view and the list of samples: two small components of our own.

Both take data, never markup: whatever a sample contains ends in ``textContent``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from circuitseer_core.aliases import Floats
from circuitseer_core.browse.sample import ScoredSample
from circuitseer_core.browse.spans import Shade, Spans
from circuitseer_core.wording import count
from ui.widgets.charts import theme
from ui.words import in_column

_FOLDER = Path(__file__).parent


def _component(name: str) -> Any:
    return st.components.v2.component(
        f"circuitseer_{name}",
        css=(_FOLDER / f"{name}.css").read_text(encoding="utf-8"),
        js=(_FOLDER / f"{name}.js").read_text(encoding="utf-8"),
    )


_TOKENS = _component("tokens")
_ROWS = _component("rows")


def token_view(
    sample: ScoredSample,
    spans: Spans,
    shading: Shade,
    tips: Sequence[str],
    *,
    key: str,
    picked: int | None = None,
    on_pick: Callable[[int], None] | None = None,
) -> None:
    """A sample's text with every span coloured by ``shading``; a click or Enter picks a span.

    Args:
        sample: whose tokens.
        spans: S pieces of its text.
        shading: how strongly to colour each.
        tips: (S,) what to say when a span is hovered or reached by keyboard.
        key: of the component.
        picked: the span outlined.
        on_pick: called with the number of the span clicked, before the next script run.
    """

    def chosen() -> None:
        event = st.session_state[key].get("picked")
        if event and on_pick and event["sample"] == sample.id:
            on_pick(int(event["span"]))

    _TOKENS(
        key=key,
        data={
            "sample": sample.id,
            "name": f"Tokens of {sample.id}",
            "labels": list(spans.labels),
            "special": spans.special.astype(int).tolist(),
            "first": spans.first_token().tolist(),
            "strength": np.round(shading.strength, 3).tolist(),
            "left_out": shading.left_out.astype(int).tolist(),
            "tips": list(tips),
            "tail": spans.tail,
            "hue": theme().categorical[1],
            "full": _full(),
            "picked": picked,
        },
        on_picked_change=chosen,
    )


def signed_tokens(
    name: str,
    spans: Spans,
    strength: Floats,
    tips: Sequence[str],
    *,
    key: str,
    before: int = 0,
    picked: int | None = None,
    on_pick: Callable[[int], None] | None = None,
) -> None:
    """A text whose spans are coloured by a number with a sign: orange above zero, blue below.

    Args:
        name: tells texts apart; a click on another one is ignored.
        spans: S pieces of the text.
        strength: (S,) from -1 to 1.
        tips: (S,) what to say when a span is hovered or reached by keyboard.
        key: of the component.
        before: how many spans in front are context, written in grey.
        picked: the span outlined.
        on_pick: called with the number of the span clicked, before the next script run.
    """

    def chosen() -> None:
        event = st.session_state[key].get("picked")
        if event and on_pick and event["sample"] == name:
            on_pick(int(event["span"]))

    look = theme()
    _TOKENS(
        key=key,
        data={
            "sample": name,
            "name": "Tokens of the text",
            "labels": list(spans.labels),
            "special": spans.special.astype(int).tolist(),
            "first": spans.first_token().tolist(),
            "strength": np.round(strength, 3).tolist(),
            "left_out": [0] * len(spans.labels),
            "tips": list(tips),
            "tail": "",
            "hue": look.categorical[1],
            "full": _full(),
            "below": look.categorical[0],
            "before": before,
            "picked": picked,
        },
        on_picked_change=chosen,
    )


def _full() -> str:
    """How much of its hue the strongest colour has: letters stay readable on it (4.5 : 1)."""
    return "54%" if theme().name == "dark" else "68%"


def sample_rows(
    page: pd.DataFrame,
    *,
    key: str,
    numbers: Sequence[str],
    chosen: str | None,
    extent: tuple[float, float],
    marks: dict[str, str],
    on_choose: Callable[[str], None],
    on_turn: Callable[[int], None] | None = None,
    turns: Sequence[int] = (),
) -> None:
    """One page of samples (columns of ``ScoreStore.page``); a click or Enter opens a row.

    With ``on_turn`` j and k open the next row and the one before, wherever the focus is: one list
    of a page at most may have it.

    Args:
        page: the rows.
        key: of the component.
        numbers: what to number the rows by: their ranks, or the numbers of their pairs.
        chosen: id of the row shown as open.
        extent: lowest and highest score, the ends of the little bars.
        marks: what has been marked by eye, by id.
        on_choose: called with the id, before the next script run.
        on_turn: called with 1 or -1 where j or k leaves the page for the next or the one before.
        turns: which of the two there are.
    """

    def picked() -> None:
        sample_id = st.session_state[key].get("chosen")
        if sample_id:
            on_choose(str(sample_id))

    def turned() -> None:
        step = st.session_state[key].get("turn")
        if step and on_turn:
            on_turn(int(step))

    _ROWS(
        key=key,
        data={
            "rows": _listed(page, numbers, extent, marks),
            "chosen": chosen,
            "hue": theme().categorical[0],
            "turns": list(turns) if on_turn else None,
        },
        on_chosen_change=picked,
        on_turn_change=turned,
    )


def _listed(
    page: pd.DataFrame, numbers: Sequence[str], extent: tuple[float, float], marks: dict[str, str]
) -> list[dict[str, Any]]:
    """The rows of :func:`sample_rows` as its component takes them."""
    low, high = extent
    span = high - low if high > low else 1.0
    scores = in_column(page["score"])
    return [
        {
            "id": row.id,
            "rank": numbers[i],
            "text": " ".join(str(row.text).split()) or row.id,
            "meta": " · ".join(
                part
                for part in (row.source, count(row.n_tokens, "token"), marks.get(row.id))
                if part
            ),
            "score": scores[i],
            "share": 0.0 if pd.isna(row.score) else min(max((row.score - low) / span, 0.0), 1.0),
        }
        for i, row in enumerate(page.itertuples(index=False))
    ]
