"""Joining scores made elsewhere: which files, by what their rows are joined, what was joined."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from circuitseer_core.errors import UserError
from circuitseer_core.runs import commands, jobs
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import ImportedScores
from circuitseer_core.scoring.import_scores import ImportSettings
from ui import judgements
from ui.runs.data_input import choose_data
from ui.runs.starting import start_and_watch
from ui.shell import folding_columns
from ui.widgets import wishes
from ui.widgets.commands import show_commands
from ui.widgets.markdown import inline, literal
from ui.widgets.scoring_choice import scoring_in_view
from ui.widgets.settings_field import KEEP, named_choice
from ui.words import ago

_WAYS = {"auto": "id, else prompt", "id": "id alone", "prompt": "prompt alone"}


@wishes.answered("import")
def import_form(run: Run | None) -> None:
    """The form for the scoring in view, and what was joined to it before."""
    name = scoring_in_view(run) if run is not None else None
    if run is None or name is None:
        st.caption("Outside scores are joined to a run's own: nothing has been scored here yet.")
        return
    st.markdown(
        f"Rewards, pass rates, ratings from elsewhere: number columns of a file become scores of "
        f"**{inline(name)}**, to browse, to draw by and to compare with its own."
    )
    try:
        scoring = run.scoring(name)
        if scoring.imported:
            st.dataframe(
                pd.DataFrame([_row(record) for record in scoring.imported]), hide_index=True,
                key="imported", alt="Scores that were joined, and from where",
            )  # fmt: skip
        if not judgements.offer_copy(run, "To join scores to it, make a copy."):
            return
        step = _step(run, name)
    except UserError as error:
        st.error(literal(error), icon=":material/error:")
        return
    ready = step is not None and not jobs.status(run.path).live
    st.button(
        "Join the scores",
        type="primary",
        icon=":material/join_inner:",
        key="import",
        disabled=not ready,
        on_click=wishes.leave,
        args=["import"],
    )
    if wishes.granted("import") and step is not None:
        start_and_watch(run.path, [step])
    if step is not None:
        show_commands("The command this runs", commands.as_typed(step), key="import_command")


def _step(run: Run, name: str) -> list[str] | None:
    """The command that the choices come to; None while no file is named."""
    with st.container(border=True, key="card_import"):
        files = choose_data(
            "From", "outside", kinds=("files", "upload", "hub"),
            help_text="Rows with an id or a prompt, and with numbers.",
        )  # fmt: skip
        settings = commands.checked(ImportSettings, scores=name, **_settings())
    if not files:
        return None
    words = commands.step("import-scores", run.path, settings, always=("scores",))
    return [*words, "--", *files]


def _settings() -> dict[str, Any]:
    fields = ImportSettings.model_fields
    first, second, third, fourth = folding_columns(4, "import")
    by = named_choice(ImportSettings, "by", "Join rows by", key="import_by", where=first,
                      format_func=_WAYS.__getitem__)  # fmt: skip
    columns = second.text_input(
        "Columns, with commas", key="import_columns", placeholder="every number column",
        help=fields["columns"].description, **KEEP,
    )  # fmt: skip
    id_field = third.text_input(
        "Column of ids", key="import_id_field", placeholder="recognised",
        help=fields["id_field"].description, **KEEP,
    )  # fmt: skip
    prompt_field = fourth.text_input(
        "Column of prompts", key="import_prompt_field", placeholder="recognised",
        help=fields["prompt_field"].description, **KEEP,
    )  # fmt: skip
    with st.container(horizontal=True):
        rank = st.toggle(
            "Keep ranks instead of values", key="import_rank", help=fields["rank"].description,
            **KEEP,
        )  # fmt: skip
        replace = st.toggle(
            "Replace what was joined before", key="import_replace",
            help=fields["replace"].description, **KEEP,
        )  # fmt: skip
    return {
        "by": by,
        "columns": tuple(name.strip() for name in (columns or "").split(",") if name.strip()),
        "rank": rank,
        "replace": replace,
        "id_field": (id_field or "").strip() or None,
        "prompt_field": (prompt_field or "").strip() or None,
    }


def _row(record: ImportedScores) -> dict[str, str]:
    """What was joined at one time, as a row of the table."""
    joined = record.by_id + record.by_prompt
    return {
        "scores": ", ".join(record.columns),
        "from": ", ".join(each.file.rsplit("/", 1)[-1] for each in record.files),
        "rows joined": f"{joined:,} of {record.rows:,}",
        "by id": f"{record.by_id:,}",
        "by prompt": f"{record.by_prompt:,}",
        "samples with a score": ", ".join(f"{number:,}" for number in record.scored.values()),
        "contradictory": ", ".join(f"{number:,}" for number in record.conflicting.values()),
        "joined": ago(record.created),
    }
