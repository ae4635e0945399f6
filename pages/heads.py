"""Heads: which attention heads the loss depends on, and how sure one can be of the set."""

import streamlit as st

from ui.heads import detail, panel, tables, views
from ui.shell import folding_columns, head_start, page_header, require_run
from ui.widgets.charts import theme
from ui.widgets.head_map import head_map
from ui.widgets.view_choice import choose_view

page_header(
    "Heads",
    "Mean rise in loss on the probe when one head is ablated.",
)
run = require_run("detect")
heads = tables.with_weights(run, tables.heads(run), st.session_state.get("calibration"))
choice = panel.choose_set(run, heads)
panel.stale_notice(run, choice)

left, right = folding_columns([1.3, 1], "heads", gap="large")
with left:
    column, title = panel.choose_value(heads)
    head_map(
        heads,
        key="map",
        theme=theme(),
        value=column,
        title=title,
        scale=panel.colour_scale(),
        kept=choice.heads,
        picked=detail.picked(heads),
        on_pick=detail.pick,
    )
    head_start()
    panel.map_footer(run, heads, choice, column, title)
with right:
    detail.detail(run, heads, choice)

st.space("small")
VIEWS = {
    "Table": views.table,
    "Sparsity": views.sparsity,
    "Layers": views.layers,
    "Stability": views.stability,
    "Sources": views.sources,
    "Sinks": views.sinks,
    "Compare": views.compare,
}
VIEWS[choose_view(list(VIEWS), "heads_view")](run, heads, choice)
