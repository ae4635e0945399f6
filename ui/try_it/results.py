"""What a trial came to: numbers, tokens, continuations, one head's attention."""

from __future__ import annotations

import math

import numpy as np
import streamlit as st

from circuitseer_core.aliases import Head
from circuitseer_core.browse.spans import CLIP, spans_of_pieces
from circuitseer_core.correlation import over_draws
from circuitseer_core.figures.tokens import attention_map
from circuitseer_core.figures.trial import rise_beside_random
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, signed
from ui.shell import folding_columns
from ui.try_it import compute
from ui.try_it.compute import Tried
from ui.try_it.heads import How
from ui.try_it.text import Text
from ui.widgets.charts import show_figure, theme
from ui.widgets.live_head import pooled_note
from ui.widgets.markdown import together
from ui.widgets.tokens import signed_tokens
from ui.widgets.view_choice import choose_one

VIEWS = ("Difference", "Clean", "Ablated")


def numbers(tried: Tried, heads: list[Head]) -> None:
    """Mean loss clean and ablated, and the rise beside that of random heads."""
    trial = tried.trial
    random = trial.random
    columns = folding_columns(4, "try_numbers", gap="xsmall")
    counted = len(tried.ids) - trial.loss_from
    columns[0].metric("Clean loss", f"{trial.clean:.3f}")
    columns[1].metric("Ablated", f"{trial.clean + trial.rise:.3f}")
    columns[2].metric("ΔL", signed(trial.rise, 3))
    columns[3].metric("ΔL, random", signed(random.mean(), 3) if len(random) else "–")
    if not heads:
        st.caption("No head is ablated. Tick heads on the map, or take the reasoning set.")
        return
    words = (
        f"Over the {count(counted, 'token')} that count, ablating {count(len(heads), 'head')} "
        f"together changes the mean loss by {signed(trial.rise, 3)} nats"
    )
    if len(random):
        words += (
            f"; {count(len(random), 'draw')} of {tried.beside} "
            f"{'changes' if len(random) == 1 else 'change'} it by {signed(random.min(), 3)}"
        )
    if (ends := over_draws(random, (-math.inf, math.inf))) is not None:
        words += (
            f" to {signed(random.max(), 3)} (mean {signed(random.mean(), 3)}, 95 % interval "
            f"{signed(ends[0], 3)} to {signed(ends[1], 3)})"
        )
    words += ". This is one text; the experiment joint-ablation measures many."
    st.caption(together(words))
    if len(random):
        show_figure(
            rise_beside_random(trial.rise, random, theme=theme()),
            key="try_random",
            alt="Rise in loss of the heads, and of random heads of the same layers",
        )


def tokens(tried: Tried) -> None:
    """The text with its tokens coloured by their loss, or by how it changes."""
    with st.container(horizontal=True, vertical_alignment="center", key="try_tokens_bar"):
        st.subheader("Loss by token", anchor=False, width="stretch")
        view = choose_one("Colour by", VIEWS, "try_view")
    spans = spans_of_pieces(tried.pieces)
    trial = tried.trial
    values = {"Difference": trial.by_token, "Clean": trial.losses[0], "Ablated": trial.losses[1]}
    before = int(spans.owner[trial.loss_from]) if trial.loss_from > 1 else 0
    shown = spans.merge(np.nan_to_num(values[view]))
    shown[:before] = 0
    sizes = np.abs(shown[before:])
    top = float(np.quantile(sizes, CLIP)) if sizes.size else 0.0
    top = top or float(sizes.max(initial=0.0))
    clean, ablated = (spans.merge(np.nan_to_num(row)) for row in trial.losses)
    picked = st.session_state.get("try_token")
    picked = picked[1] if picked and picked[0] == tuple(tried.ids) else None

    def pick(span: int) -> None:
        st.session_state["try_token"] = (tuple(tried.ids), span)

    with st.container(key="try_token_box"):
        signed_tokens(
            "trial",
            spans,
            np.clip(shown / top, -1, 1) if top > 0 else np.zeros_like(shown),
            [_tip(a, b) for a, b in zip(clean, ablated, strict=True)],
            key="try_tokens",
            before=before,
            picked=picked,
            on_pick=pick,
        )
    what = "orange: harder to predict with the heads ablated, blue: easier"
    what = what if view == VIEWS[0] else "the more orange, the harder to predict"
    grey = (
        " Grey letters: the prompt, which the mean loss leaves out." if trial.loss_from > 1 else ""
    )
    st.caption(f"{what[0].upper()}{what[1:]}. Full colour: {top:.2g} nats.{grey}")
    if picked is not None:
        st.caption(
            f"Token {int(spans.first_token()[picked])}: {_tip(clean[picked], ablated[picked])}."
        )


def _tip(clean: float, ablated: float) -> str:
    return f"{clean:.2f} nats clean, {ablated:.2f} ablated ({signed(ablated - clean, 2)})"


def continuation(run: Run, text: Text, heads: list[Head], how: How) -> None:
    """What the model writes after the prompt, clean and ablated, side by side, word by word."""
    st.subheader("Continuation", anchor=False)
    places = []
    for column, title in zip(folding_columns(2, "try_written"), ("Clean", "Ablated"), strict=True):
        if title == "Clean" or heads:
            with column.container(border=True, key=f"card_written_{title}"):
                st.markdown(f"**{title}**")
                places.append(st.empty())
                places[-1].caption("Writing …")

    def show(texts: list[str]) -> None:
        for place, shown in zip(places, texts, strict=True):
            place.text(shown or "…")

    written = compute.continuations(run, text, heads, how, show)
    show(["".join(pieces) or "(ends at once)" for pieces in written])
    caption = f"Greedy, {count(how.most, 'token')} at most, after the prompt alone."
    if len(written) > 1:
        same = _common(*written)
        if written[0] == written[1]:
            caption += " Both are the same."
        else:
            caption += f" They part after {count(same, 'token')}." if same else ""
    st.caption(caption)


def _common(first: list[str], second: list[str]) -> int:
    pairs = zip(first, second, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def attention(run: Run, tried: Tried, heads: list[Head]) -> None:
    """One head's attention over the text, token by token, in the clean model."""
    box = st.expander(
        "What one head attends to", icon=":material/grid_on:", key="try_attention",
        on_change="rerun",
    )  # fmt: skip
    if not box.open:
        return
    with box:
        head = _choose_head(run, heads)
        if head is None:
            return
        seen = compute.attention(run, tried, head)
        show_figure(
            attention_map(
                seen.attention[0].numpy(),
                tried.pieces,
                theme(),
                first_share=float(seen.profiles[0][0]),
                pool=seen.pool,
                title=f"Head {head[0]}.{head[1]}, clean",
            ),
            key="try_attention_map",
            alt=f"Attention of head {head[0]}.{head[1]}: queries down, keys across",
        )
        pooled_note(seen.pool)


def _choose_head(run: Run, heads: list[Head]) -> Head | None:
    """Layer and head by number; the last of those ablated to begin with."""
    first = heads[-1] if heads else (0, 0)
    per_layer = run.model.heads_per_layer
    with st.container(horizontal=True):
        layer = st.number_input(
            "Layer", 0, len(per_layer) - 1, first[0], key="try_layer", persist_state="session",
            width=120,
        )  # fmt: skip
        head = st.number_input(
            "Head", 0, max(per_layer) - 1, first[1], key="try_head", persist_state="session",
            width=120,
        )  # fmt: skip
    if head >= per_layer[int(layer)]:
        st.caption(f"Layer {layer} has no head {head}.")
        return None
    return int(layer), int(head)
