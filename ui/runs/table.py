"""The table of runs, and which one is picked."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd
import streamlit as st

from circuitseer_core.errors import UserError
from circuitseer_core.runs import jobs
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.listing import unwritable_runs
from circuitseer_core.runs.stage import is_at_work
from circuitseer_core.wording import count
from ui.shell import open_run, run_keys, run_label, run_path
from ui.widgets.markdown import inline
from ui.words import BADGES, ago, short_model

_COLUMNS = ["run", "model", "state", "detect", "score", "select", "created"]


def show_runs(key: str) -> None:
    """The table of all runs; the row picked becomes the run in view."""
    table = _runs_table()
    st.dataframe(
        table,
        hide_index=True,
        key=key,
        on_select=lambda: _pick_run(table, key),
        selection_mode="single-row",
        column_order=_COLUMNS,
        column_config={
            name: st.column_config.TextColumn(
                name.capitalize(), width="small" if name in _COLUMNS[2:] else None
            )
            for name in _COLUMNS
        },
        alt="All runs with model and state; pick a row to open the run",
    )
    _unwritable()


def _unwritable() -> None:
    """A line on the run folders that cannot be offered."""
    if folders := unwritable_runs():
        names = ", ".join(os.fsencode(path.name).decode(errors="replace") for path in folders)
        st.caption(
            f"{count(len(folders), 'run folder')} left out, to be renamed first, because the name "
            f"is not UTF-8: {inline(names)}"
        )


def _runs_table() -> pd.DataFrame:
    """All runs: key, run, model, state, detect, score, select, created."""
    rows: list[dict[str, Any]] = []
    for key in run_keys():
        row: dict[str, Any] = {"key": key, "run": run_label(key)}
        try:
            run = Run.open(run_path(key))
            row |= {
                "model": short_model(run.record.model.id if run.record.model else "–"),
                "state": _word(_state(run)),
                "created": ago(run.record.created),
                **{stage: _word(state) for stage, state in run.stage_state().items()},
            }
        except (UserError, KeyError):
            row |= {"model": "–", "state": _word("broken"), "created": ""}
        rows.append(row)
    return pd.DataFrame(rows)


def _state(run: Run) -> str:
    """The state of the job at work, else the run's own; what became of a job stands in its panel.

    A job that ended otherwise than well is the run's state where the stage that it stopped at is
    not there, or where the run is not done. A stage that was killed could not write that it was.
    """
    status = jobs.status(run.path)
    if status.live:
        return status.state
    own = run.record.state
    stopped = status.steps[status.step][0] if status.step < len(status.steps) else ""
    if own == "done" and run.stage_state().get(stopped, "done") == "done":
        return own
    if status.state not in {"none", "done"}:
        return status.state
    return "interrupted" if own == "running" and not is_at_work(run.path) else own


def _word(state: str) -> str:
    return BADGES[state][1] if state in BADGES else state


def _pick_run(table: pd.DataFrame, key: str) -> None:
    """Callback of a runs table: the row picked becomes the run in view."""
    rows = st.session_state[key]["selection"]["rows"]
    if rows:
        open_run(str(table["key"].iloc[rows[0]]))
