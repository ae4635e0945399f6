"""One head on one sample: the only place where the app loads a model, and only if asked.

Nothing is imported from torch until the button is pressed. What was computed is kept by run,
sample and head, so looking at it again costs nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from circuitseer_core.aliases import Floats
from circuitseer_core.browse.sample import ScoredSample
from circuitseer_core.errors import UserError
from circuitseer_core.figures.tokens import attention_map
from circuitseer_core.files import stamp
from circuitseer_core.runs.folder import Run
from ui.widgets import live_model
from ui.widgets.charts import show_figure, theme
from ui.widgets.markdown import inline
from ui.widgets.scoring_choice import scoring_in_view


def profile(run: Run, sample: ScoredSample, *, key: str) -> Floats | None:
    """(T,) attention that each token receives from the head chosen; None until it was computed."""
    head = _choose(run, key)
    live_model.ask(run, key)
    seen = _seen(run, sample.id, head)
    if seen is None:
        return None
    shares = np.asarray(seen.profile, dtype=np.float64)
    if len(shares) != sample.n_tokens:
        st.caption("The model now cuts this text into other tokens than when it was scored.")
        return None
    return shares


def attention_figure(
    run: Run, sample: ScoredSample, *, key: str, of_profile: str | None = None
) -> None:
    """The T x T attention of one head, on demand.

    ``of_profile``: the key of a :func:`profile` on the page, whose head it is then.
    """
    if of_profile is None:
        head = _choose(run, key)
    else:
        state = st.session_state
        head = int(state[f"layer_{of_profile}"]), int(state[f"head_{of_profile}"])
    live_model.ask(run, key)
    _draw(run, sample.id, head, key)


def head_on_sample(run: Run, sample_id: str, head: tuple[int, int], *, key: str) -> None:
    """The T x T attention of a given head on a sample named by its id, on demand."""
    live_model.ask(run, key)
    _draw(run, sample_id, head, key)


def _draw(run: Run, sample_id: str, head: tuple[int, int], key: str) -> None:
    seen = _seen(run, sample_id, head)
    if seen is None:
        return
    tokens = [str(t[0] if isinstance(t, tuple | list) else t.text) for t in seen.tokens]
    attention = np.asarray(seen.attention)
    show_figure(
        attention_map(
            attention.reshape(attention.shape[-2:]),
            tokens,
            theme(),
            first_share=float(seen.profile[0]),
            pool=int(seen.pool),
            title=f"Head {head[0]}.{head[1]}",
        ),
        key=f"attention_map_{key}",
        name=f"attention {head[0]}.{head[1]} {sample_id}".replace("/", "_"),
        alt=f"Attention of head {head[0]}.{head[1]}: queries down, keys across",
    )
    pooled_note(int(seen.pool))


def pooled_note(pool: int) -> None:
    """Below an attention map of a long text: what a cell is the largest of."""
    if pool > 1:
        st.caption(
            f"The text is long, so a cell is the largest of {pool} × {pool} tokens. The first "
            f"token is a column by itself: there a cell is the largest of {pool} queries."
        )


def _choose(run: Run, key: str) -> tuple[int, int]:
    """Layer and head, by number; the first of the scored heads to begin with."""
    scored = run.scoring(scoring_in_view(run) or "default").heads
    heads_per_layer = run.model.heads_per_layer
    layers = len(heads_per_layer)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        layer = st.number_input(
            "Layer",
            0,
            max(layers - 1, 0),
            int(scored[0][0]),
            key=f"layer_{key}",
            persist_state="session",
            width=120,
        )
        last = max(heads_per_layer[int(layer)] - 1, 0)  # a layer may have no head at all
        head = st.number_input(
            "Head",
            0,
            last,
            min(int(scored[0][1]), last),
            key=f"head_{key}",
            persist_state="session",
            width=120,
        )
    return int(layer), int(head)


def _seen(run: Run, sample_id: str, head: tuple[int, int]) -> Any | None:
    """What the head does on the sample, once the person asked for the live model of this run."""
    if not live_model.asked(run):
        st.caption(
            "A single head's attention is not stored. The model computes it, in this process, "
            f"on {inline(run.model.device)}."
        )
        return None
    try:
        with st.spinner("Running the model on this sample …"):
            name = scoring_in_view(run) or "default"
            identity = live_model.identity(run)
            mark = stamp(run.score_parts(name))
            return _inspect(str(run.path), identity, mark, name, sample_id, *head)
    except UserError as error:
        live_model.forget()
        st.text(str(error))
        return None


@st.cache_resource(max_entries=64, show_spinner=False)
def _inspect(
    path: str,
    identity: tuple[str, ...],
    mark: tuple[Any, ...],
    name: str,
    sample_id: str,
    layer: int,
    head: int,
) -> Any:
    from circuitseer_core.scoring import inspection

    return inspection.inspect_sample(Run.open(path), sample_id, name, layer=layer, head=head)
