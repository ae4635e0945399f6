"""Kept selections: compared with the draw in view, and made the draw in view again."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.selection_records import SelectionRecord
from circuitseer_core.selection.overlap import NoiseFloor
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.wording import percent, tau
from ui.export import draw
from ui.export import settings as draw_settings
from ui.export.draw import Shown
from ui.export.views import signed_percent
from ui.words import ago


def kept_selections(run: Run, store: ScoreStore, view: SelectionSettings, drawn: Shown) -> None:
    """Settings, diagnostics and overlap with the draw in view; one can be put back into view."""
    records = run.selection_records()
    for name in set(run.selections()) - set(records):
        st.text(f"Selection {name} cannot be read: its selection.json is damaged.")
    settings: dict[str, SelectionSettings] = {}
    for name, record in records.items():
        try:
            settings[name] = SelectionSettings.of(**record.settings.to_json())
        except UserError as error:
            st.text(f"Selection {name} has settings that this version does not know: {error}")
    if not settings:
        return
    names = list(settings)
    shared = draw.overlaps(run, store, drawn, names)
    floors = draw.floors(run, store, view, settings)
    rows = [
        _row(records[name], settings[name]) | _overlap(shared[name], floors[name]) for name in names
    ]
    frame = pd.DataFrame(rows)
    if len(run.scorings()) < 2:
        frame = frame.drop(columns="scores")
    st.dataframe(
        frame,
        hide_index=True,
        height="content" if len(rows) < 10 else 380,
        key="earlier",
        column_config={
            "rows": st.column_config.NumberColumn("rows", format="localized"),
            "effective": st.column_config.TextColumn("effective size"),
            "shared": st.column_config.TextColumn(
                "shared with this draw",
                help="Share of the draw in view that this selection holds too",
            ),
            "chance": st.column_config.TextColumn(
                "shuffled / equal scores",
                help="The same share had its scores been shuffled (mean of 20 shuffles), and had "
                "all been equal: what its size and, under one seed, the shared noise make alone",
            ),
            "beyond": st.column_config.TextColumn(
                "beyond shuffled",
                help="From 0, what shuffled scores share, to 100 %, all of the draw in view",
            ),
        },
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Selection to put into view", names, key="reopen", width=220)
        st.button(
            "Use its settings",
            key="use_settings",
            icon=":material/tune:",
            on_click=draw_settings.load,
            args=[run, settings[chosen]],
            help="The draw in view becomes this one; as long as nothing behind it has changed, it "
            "can be downloaded at once.",
        )


def _overlap(shared: float, floor: NoiseFloor | None) -> dict[str, str]:
    """What a selection shares with the draw in view, beside what it would share by chance."""
    chance = beyond = ""
    if floor is not None:
        chance = f"{percent(floor.permuted)} / {percent(floor.uniform)}"
        beyond = percent(floor.beyond(shared), 1)
    return {"shared": percent(shared, 1), "chance": chance, "beyond": beyond}


def _row(record: SelectionRecord, settings: SelectionSettings) -> dict[str, Any]:
    if settings.count:
        budget = f"{settings.count:,} rows"
    elif settings.tokens:
        budget = f"{settings.tokens:,} tokens"
    elif settings.match_lengths:
        budget = f"lengths of {settings.match_lengths}"
    else:
        budget = percent(settings.share or 0)
    control = "" if settings.length_control == "none" else ", length out"
    drawn = record.diagnostics
    lift = None if drawn is None else drawn.score.lift
    return {
        "name": record.name,
        "drawn": ago(record.created),
        "scores": settings.scores,
        "scorer": settings.scorer + control + (", lowest" if settings.lowest else ""),
        "τ": tau(record.temperature),
        "budget": budget,
        "seed": settings.seed,
        "rows": record.counts.selected,
        "lift": "" if lift is None else signed_percent(lift),
        "effective": "" if drawn is None else percent(drawn.ess_share),
    }
