"""Heads: which attention heads the loss depends on, and how sure one can be of the set."""

import streamlit as st

from ui.heads import detail as head_detail
from ui.heads import panel as head_panel
from ui.heads import tables as head_tables
from ui.heads import views as head_views
from ui.shell import folding_columns, head_start, page_header, require_run
from ui.widgets.charts import theme
from ui.widgets.head_map import head_map

page_header(
    "Heads",
    "Mean rise in loss on the probe when one head's attention is flattened to uniform.",
)
run = require_run("detect")
heads = head_tables.with_weights(run, head_tables.heads(run), st.session_state.get("calibration"))
choice = head_panel.choose_set(run, heads)
head_panel.stale_notice(run, choice)

left, right = folding_columns([1.3, 1], "heads", gap="large")
with left:
    column, title = head_panel.choose_value(heads)
    head_map(
        heads,
        key="map",
        theme=theme(),
        value=column,
        title=title,
        scale=head_panel.colour_scale(),
        kept=choice.heads,
        picked=head_detail.picked(heads),
        on_pick=head_detail.pick,
    )
    head_start()
    head_panel.map_footer(run, heads, choice, column, title)
with right:
    head_detail.detail(run, heads, choice)

st.space("small")
VIEWS = {
    "Table": head_views.table,
    "Sparsity": head_views.sparsity,
    "Layers": head_views.layers,
    "Stability": head_views.stability,
    "Sources": head_views.sources,
    "Sinks": head_views.sinks,
    "Compare": head_views.compare,
}
view = st.segmented_control(
    "View",
    list(VIEWS),
    default="Table",
    required=True,
    key="heads_view",
    bind="query-params",
    label_visibility="collapsed",
)
VIEWS[view or "Table"](run, heads, choice)
