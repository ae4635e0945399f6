"""The model in this process: asked for by a button, its memory shown, let go by another.

Nothing is imported from torch until somebody asks. The wish is the session's, the model is the
process's: two tabs of one run share it.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from circuitseer_core.runs.folder import Run
from ui.widgets.markdown import inline
from ui.words import short_model

MIB = 2**20


def asked(run: Run) -> bool:
    """Whether this session asked for the model of this run."""
    return bool(st.session_state.get("live_model") == str(run.path))


def ask(run: Run, key: str, label: str = "Load the model and look") -> None:
    """The button without which nothing is loaded; nothing once it was pressed."""
    if not asked(run):
        st.button(
            label,
            key=f"live_{key}",
            icon=":material/memory:",
            type="primary" if key == "try" else "secondary",
            on_click=lambda: st.session_state.update(live_model=str(run.path)),
        )


def forget() -> None:
    """Take the wish back: what was asked for cannot be loaded."""
    st.session_state.pop("live_model", None)


def identity(run: Run) -> tuple[str, ...]:
    """What tells the models of runs apart, as a part of a cache's key."""
    model = run.model
    hashes = (str(model.weights_hash), str(model.tokenizer_hash))
    precision = (model.weight_bits, model.dtype, model.device)
    return (model.id, str(model.revision), *hashes, *precision)


def model_of(run: Run) -> Any:
    """The run's model, loaded if it is not the one in memory. Raises UserError."""
    from circuitseer_core.model import live

    return live.live_model(run.model, run.model.dtype)


def memory_line(key: str) -> None:
    """What is in memory and the button that lets it go; nothing where nothing is."""
    from circuitseer_core.model import live

    in_memory = live.model_in_memory()
    if in_memory is None:
        return
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key=f"memory_{key}"
    ):
        st.caption(
            f"{inline(short_model(in_memory.name))} in memory: "
            f"{in_memory.bytes / MIB:,.0f} MiB of weights ({in_memory.dtype}, {in_memory.device}).",
            width="content",
        )
        st.button(
            "Free it",
            icon=":material/delete_sweep:",
            type="tertiary",
            key=f"free_{key}",
            help="Takes the model out of memory. It is loaded again when it is asked for.",
            on_click=_free,
        )


def _free() -> None:
    from circuitseer_core.model import live

    forget()
    live.free()
