"""What of the data could serve in a probe: counted in the tokens of the model chosen.

Asked for by a switch: a tokenizer brings torch into this process, which no page does by itself.
"""

from __future__ import annotations

import streamlit as st

from circuitseer_core.data.fields import Fields
from circuitseer_core.data.survey import Survey
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.wording import count, percent
from ui.widgets.markdown import inline, together
from ui.widgets.settings_field import proposed

MOST_ROWS = 2_000
"""Rows that are cut into tokens; the command ``data`` takes all."""
_REASONS = 6


def in_tokens(
    specs: list[str], fields: dict[str, str], stamps: tuple[float, ...], model: str, key: str
) -> Survey | None:
    """The survey in the model's tokens, where it was asked for and the tokenizer is here.

    Says how much could serve in a probe under the settings chosen further down, and why the rest
    could not.
    """
    if not st.toggle(
        "Count in the model's tokens", key=f"{key}_tokens", persist_state="session",
        help="Says how many samples could serve in a probe. Loads the model's tokenizer, no "
        "weights, and only from this machine: nothing is fetched.",
    ):  # fmt: skip
        return None
    state = st.session_state
    loss = str(state.get("set_loss", proposed(DetectSettings, "loss_tokens")))
    longest = state.get("set_max_length")
    try:
        seen = _survey(tuple(specs), tuple(sorted(fields.items())), stamps, model, longest, loss)
    except UserError as error:
        st.text(f"Not counted: {error}")
        return None
    looked = "" if seen.read == seen.rows else f"Of the first {seen.read:,} rows: "
    share = f" ({percent(seen.probe / seen.samples, 1)})" if seen.samples else ""
    line = f"{looked}{count(seen.probe, 'sample')} could serve in a probe{share}"
    if seen.not_probe:
        why = "; ".join(f"{each.rows:,} × {each.reason}" for each in seen.not_probe[:_REASONS])
        line += f", the others not: {inline(why)}"
    st.caption(together(f"{line}."))
    return seen


@st.cache_data(max_entries=16, show_spinner="Counting tokens …")
def _survey(
    specs: tuple[str, ...],
    fields: tuple[tuple[str, str], ...],
    stamps: tuple[float, ...],
    model: str,
    longest: int | None,
    loss: str,
) -> Survey:
    from circuitseer_core.model.data_survey import survey_data

    named = {name.removesuffix("_field"): value for name, value in fields}
    return survey_data(
        list(specs), Fields(**named), model=model, max_length=longest, limit=MOST_ROWS,
        loss_tokens=loss, offline=True,
    )  # fmt: skip
