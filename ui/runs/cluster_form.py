"""Grouping a scoring's prompts by kind: how many clusters, and the ones that there are."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from circuitseer_core.errors import UserError
from circuitseer_core.experiments.cost import forward_seconds
from circuitseer_core.runs import commands, jobs
from circuitseer_core.runs.cluster_records import CLUSTER, ClusterRecord
from circuitseer_core.runs.clusters import cluster_record, draws_of
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.cluster_settings import ClusterSettings
from circuitseer_core.wording import count, duration
from ui import judgements
from ui.runs.starting import start_and_watch
from ui.shell import folding_columns, link_to
from ui.widgets import wishes
from ui.widgets.commands import show_commands
from ui.widgets.markdown import inline, literal
from ui.widgets.scoring_choice import scoring_in_view
from ui.widgets.settings_field import named_choice, whole_number
from ui.words import ago


@wishes.answered("cluster")
@wishes.answered("cluster_anew")
def cluster_form(run: Run | None) -> None:
    """The form for the scoring in view, and the clusters that it has."""
    name = scoring_in_view(run) if run is not None else None
    if run is None or name is None:
        st.caption("Clusters are of a scoring's prompts: nothing has been scored here yet.")
        return
    st.markdown(
        f"Prompts of **{inline(name)}** that the run's model reads alike, put into groups, so "
        "that a draw can give every group its share. Not in the paper; no score uses it."
    )
    try:
        record = cluster_record(run, name)
        if record is not None:
            _clusters(record)
        if not judgements.offer_copy(run, "To group its prompts, make a copy."):
            return
        settings = commands.checked(ClusterSettings, scores=name, **_settings())
        estimate = _estimate(run, name)
    except UserError as error:
        st.error(literal(error), icon=":material/error:")
        return
    draws = draws_of(run, record) if record is not None else []
    step = commands.step("cluster", run.path, settings, always=("scores", "clusters"))
    step += ["--replace"] if draws else []
    with st.container(horizontal=True, vertical_alignment="center", key="cluster_bar"):
        _button(record, draws, disabled=jobs.status(run.path).live)
        st.caption(estimate, width="content")
    if wishes.granted("cluster_anew" if draws else "cluster"):
        start_and_watch(run.path, [step])
    show_commands("The command this runs", commands.as_typed(step), key="cluster_command")


def _button(record: ClusterRecord | None, draws: list[str], *, disabled: bool) -> None:
    """The button that starts; where draws need the clusters there are it asks first."""
    look: dict[str, Any] = {"type": "primary", "icon": ":material/workspaces:"}
    label = "Make the clusters" if record is None else "Make them anew"
    if not draws:
        st.button(
            label, key="cluster", disabled=disabled,
            on_click=wishes.leave, args=["cluster"], **look,
        )  # fmt: skip
        return
    with st.popover(label, key="replace_menu", disabled=disabled, **look):
        names = ", ".join(f"“{inline(name)}”" for name in draws[:3]) + (", …" if draws[3:] else "")
        st.markdown(
            f"The clusters there are shared the budget of {names}. With others in their place "
            f"{'that draw' if len(draws) == 1 else 'those draws'} cannot be derived again."
        )
        st.button(
            "Replace them", key="cluster_anew", type="primary", disabled=disabled,
            on_click=wishes.leave, args=["cluster_anew"],
        )  # fmt: skip


def _settings() -> dict[str, Any]:
    with st.container(border=True, key="card_cluster"):
        first, second, third, fourth = folding_columns(4, "cluster")
        return {
            "clusters": whole_number(
                ClusterSettings, "clusters", "Clusters", key="cluster_count", most=1000, where=first
            ),
            "max_length": whole_number(
                ClusterSettings, "max_length", "Longest prompt (tokens)", key="cluster_length",
                most=131_072, where=second, placeholder="model's limit",
            ),
            "seed": whole_number(
                ClusterSettings, "seed", "Seed", key="cluster_seed", most=2**31 - 1, where=third
            ),
            "dtype": named_choice(
                ClusterSettings, "dtype", "Number format", key="cluster_dtype", where=fourth
            ),
        }  # fmt: skip


def _estimate(run: Run, name: str) -> str:
    """About how long it takes, where the scoring has counted the prompts' tokens."""
    scoring = run.scoring(name)
    if scoring.text != "prompt" or not scoring.tokens:
        return "One pass of every prompt; what was read is kept for the next time."
    seconds = duration(forward_seconds(run, scoring.tokens))
    return f"About {seconds}; what was read is kept for the next time."


def _clusters(record: ClusterRecord) -> None:
    """The clusters, from the largest, and the way to a draw that shares its budget over them."""
    st.dataframe(
        pd.DataFrame(
            {
                "cluster": range(len(record.clusters)),
                "rows": [one.rows for one in record.clusters],
                "words": [", ".join(one.words) or "–" for one in record.clusters],
            }
        ),
        hide_index=True,
        height="content" if len(record.clusters) < 10 else 360,
        key="clusters",
        alt="Clusters of the prompts with their rows and the words that tell them",
        column_config={
            "cluster": st.column_config.NumberColumn("Cluster", width="small"),
            "rows": st.column_config.NumberColumn("Rows", width="small", format="localized"),
            "words": st.column_config.TextColumn(
                "Words", help="What occurs here more than in the other clusters"
            ),
        },
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"{count(len(record.clusters), 'cluster')} of {count(record.rows, 'prompt')}, made "
            f"{ago(record.created)}.",
            width="content",
        )
        link_to(
            "export", "Draw from all of them alike", icon=":material/arrow_forward:",
            stratify="equal for every stratum", stratify_by=CLUSTER,
        )  # fmt: skip
