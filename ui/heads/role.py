"""What a head does: where it looks on a few texts, and which tokens lose most without it.

Both need the model, so nothing of it is touched until a panel is open and the model was asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.browse.spans import CLIP, spans_of_pieces
from circuitseer_core.errors import UserError
from circuitseer_core.files import stamp
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import DetectOptions
from circuitseer_core.wording import percent, plain, signed
from ui.heads.top_samples import top_samples
from ui.shell import link_to
from ui.widgets import live_model
from ui.widgets.markdown import inline
from ui.widgets.scoring_choice import scoring_in_view
from ui.widgets.tokens import signed_tokens

if TYPE_CHECKING:
    from circuitseer_core.scoring.head_roles import HeadRoles

ROWS = {
    "first": "first token",
    "sink": "sinks (first and special tokens)",
    "previous": "the token before",
    "same": "earlier tokens like this one",
}
TEXTS = 3
"""Texts shown of each kind."""
AROUND = 24
"""Tokens shown before and behind the one that a text is shown for."""


def what_it_does(run: Run, head: Head) -> None:
    """Where the head looks: shares of its attention, and the tokens that receive most."""
    scoring = scoring_in_view(run)
    if scoring is None or not run.score_parts(scoring):
        return
    box = st.expander(
        "What this head looks at", icon=":material/search_insights:", key="head_role",
        on_change="rerun",
    )  # fmt: skip
    if not box.open:
        return
    with box:
        top_samples(run, scoring, head)
        if not _ready(run, "role"):
            return
        try:
            with st.spinner("Reading a few of the scored texts …"):
                roles = _roles(
                    str(run.path),
                    live_model.identity(run),
                    scoring,
                    stamp(run.score_parts(scoring)),
                )
        except UserError as error:
            st.text(str(error))
            return
        _shares(roles, head)
        _top_tokens(roles, head)


def where_it_hurts(run: Run, head: Head, deltas: pd.DataFrame) -> None:
    """The probe samples on which ablating the head costs most, and the tokens that lose."""
    box = st.expander(
        "Where ablating it hurts", icon=":material/healing:", key="head_hurts", on_change="rerun"
    )
    if not box.open:
        return
    with box:
        if not _ready(run, "hurts"):
            return
        worst = deltas.nlargest(TEXTS, "delta_loss")
        ids = tuple(worst["id"].astype(str))
        try:
            with st.spinner("Running these samples with the head ablated …"):
                seen = _losses(
                    str(run.path), live_model.identity(run), head, ids, stamp([run.probe_path])
                )
        except UserError as error:
            st.text(str(error))
            return
        if not seen:
            st.caption("The texts of the probe are not at hand here.")
            return
        known = dict(zip(ids, worst["delta_loss"], strict=True))
        for sample_id, pieces, loss_from, change in seen:
            st.caption(f"{inline(sample_id)}: ΔL {signed(known[sample_id], 3)} nats")
            _changes(sample_id, pieces, loss_from, change)
        grey = " Grey: the prompt, whose tokens do not count."
        st.caption(
            "Orange: the token is harder to predict with the head ablated, blue: easier."
            + grey * any(loss_from > 1 for _, _, loss_from, _ in seen)
        )


def _ready(run: Run, key: str) -> bool:
    """Whether the model was asked for; else the button and what it takes."""
    live_model.ask(run, key)
    if not live_model.asked(run):
        st.caption("Needs the model: it is loaded in this process.")
    return live_model.asked(run)


def _shares(roles: HeadRoles, head: Head) -> None:
    """Where its attention goes, beside where uniform attention would go on the same texts."""
    from circuitseer_core.scoring.head_roles import MAX_TOKENS as most

    table = roles.table
    row = table[(table["layer"] == head[0]) & (table["head"] == head[1])].iloc[0]
    shown = [
        {"attention on": label, "share": _share(row[name]),
         "uniform": _share(row[f"uniform_{name}"])}
        for name, label in ROWS.items()
    ]  # fmt: skip
    shown.append(
        {"attention on": "mean distance looked back", "share": f"{row['distance']:.1f} tokens",
         "uniform": f"{row['uniform_distance']:.1f} tokens"}
    )  # fmt: skip
    st.dataframe(
        pd.DataFrame(shown),
        hide_index=True,
        key="head_shares",
        column_config={
            "attention on": "Attention on",
            "share": "This head",
            "uniform": "Uniform attention",
        },
        alt="Shares of the head's attention beside those of uniform attention",
    )
    st.caption(
        f"Means over {roles.queries:,} queries in {len(roles.texts)} of the scored texts, drawn by "
        f"hash, each cut at {most:,} tokens."
    )


def _share(value: float) -> str:
    return "–" if np.isnan(value) else percent(float(value), 1)


def _top_tokens(roles: HeadRoles, head: Head) -> None:
    """The texts in which one token receives most of this head's attention, around that token."""
    top = roles.top_tokens(head, TEXTS)
    if not top:
        st.caption("No text has a token beside its first and special ones.")
        return
    st.markdown(f"**Tokens that receive most**, of {len(roles.texts)} texts, sinks set aside")
    received = roles.received(head)
    for number, token, value in top:
        text = roles.texts[number]
        begin, end = max(token - AROUND, 0), token + AROUND + 1
        values = np.where(text.set_aside, 0.0, received[number])
        st.caption(f"{inline(text.id)}: token {token} receives {plain(value)} × the mean")
        spans = spans_of_pieces(text.pieces[begin:end])
        merged = spans.merge(values[begin:end])
        signed_tokens(
            text.id,
            spans,
            merged / max(float(merged.max()), 1.0),  # what is below the mean is no peak
            [f"{plain(v)} × the mean" for v in merged],
            key=f"role_tokens_{number}",
        )
        link_to("samples", "Open it in Samples", icon=":material/arrow_forward:", sample=text.id)


def _changes(sample_id: str, pieces: list[str], loss_from: int, change: Floats) -> None:
    spans = spans_of_pieces(pieces)
    merged = spans.merge(np.nan_to_num(change))
    before = int(spans.owner[loss_from]) if loss_from > 1 else 0
    merged[:before] = 0
    top = float(np.quantile(np.abs(merged[before:]), CLIP)) or 1.0
    signed_tokens(
        sample_id,
        spans,
        np.clip(merged / top, -1, 1),
        [f"{signed(v, 2)} nats" for v in merged],
        key=f"hurt_tokens_{sample_id}",
        before=before,
    )


@st.cache_resource(max_entries=4, show_spinner=False)
def _roles(path: str, identity: tuple[str, ...], scoring: str, mark: tuple[Any, ...]) -> Any:
    """All heads of a run at once: another head costs nothing more."""
    from circuitseer_core.scoring.head_roles import head_roles

    run = Run.open(path)
    return head_roles(run, live_model.model_of(run), scoring)


@st.cache_resource(max_entries=32, show_spinner=False)
def _losses(
    path: str, identity: tuple[str, ...], head: Head, ids: tuple[str, ...], mark: tuple[Any, ...]
) -> list[tuple[str, list[str], int, Floats]]:
    """(id, pieces, first counted token, change of each token's loss) of probe samples."""
    from circuitseer_core.model.pieces import token_pieces
    from circuitseer_core.trial.text import probe_samples
    from circuitseer_core.trial.trial import ablation_mode, set_token_losses

    run = Run.open(path)
    model = live_model.model_of(run)
    settings = run.detection.settings or DetectOptions()
    ablation = ablation_mode(run, model, settings.ablation, settings.epsilon)
    out = []
    for sample in probe_samples(run, model, ids):
        losses = set_token_losses(model, sample, [[], [head]], ablation)
        pieces = token_pieces(model.tokenizer, sample.ids)
        out.append((sample.id, pieces, sample.loss_from, losses[1] - losses[0]))
    return out
