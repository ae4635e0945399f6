"""A whole in two parts, as one slim bar with the parts named: numbers only, no text of others."""

from __future__ import annotations

from html import escape

import streamlit as st

from circuitseer_core.wording import percent
from ui.widgets.charts import theme
from ui.widgets.markdown import together


def split_bar(one: str, other: str, share: float) -> None:
    """Show ``share`` (0 to 1) of ``one`` beside the rest, ``other``."""
    look = theme()
    width = 100 * min(max(share, 0.0), 1.0)
    parts = ((one, share), (other, 1 - share))
    left, right = (together(f"{escape(name)} {percent(part)}") for name, part in parts)
    st.html(
        f'<div role="img" aria-label="{left}, {right}" style="max-width:26rem">'
        f'<div style="display:flex;height:6px;border-radius:3px;overflow:hidden;'
        f'background:{look.faint}"><div style="width:{width:.2f}%;'
        f'background:{look.categorical[1]}"></div></div>'
        f'<div style="display:flex;justify-content:space-between;font-size:0.76rem;'
        f'color:{look.muted};margin-top:3px"><span>{left}</span><span>{right}</span></div></div>'
    )
