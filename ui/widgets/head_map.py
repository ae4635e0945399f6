"""The layer by head map one clicks on: a canvas, exact and quick at 80x64.

Plotly's heatmap has no click event of its own and its stand-ins miss cells when these get small
(docs/decisions.md has the measurements), so this one figure is a component of its own. Keyboard:
focus it, move with the arrow keys, pick with Enter. The script is head_map.js.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from circuitseer_core.aliases import Head
from circuitseer_core.figures.heads import FAINT, grid, limit_of, scale_ticks, squash
from circuitseer_core.figures.style import Theme

_HERE = Path(__file__).resolve().parent
_component = st.components.v2.component(
    "head_map",
    html='<div class="map"><canvas tabindex="0" role="application"></canvas>'
    '<div class="tip" role="status" aria-live="polite" hidden></div></div>',
    css=(_HERE / "head_map.css").read_text(encoding="utf-8"),
    js=(_HERE / "head_map.js").read_text(encoding="utf-8"),
)


def head_map(
    heads: pd.DataFrame,
    *,
    key: str,
    theme: Theme,
    value: str = "importance",
    title: str = "ΔL (nats)",
    scale: str = "sqrt",
    kept: Sequence[Head] = (),
    picked: Head | None = None,
    on_pick: Callable[[int, int], None],
) -> None:
    """Draw the map; ``on_pick`` gets layer and head of a click, before the script runs again.

    Heads with ``raced_out`` are faint and hatched, ``kept`` ones outlined, ``picked`` framed.
    """
    values = grid(heads, value)
    limit = limit_of(values)
    positions, labels = scale_ticks(limit, scale)
    placed = squash(values, limit, scale)
    palette = theme.diverging
    if value != "importance" and not (values < 0).any():  # sizes: half of the colours would idle
        placed, palette = 2 * placed - 1, theme.sequential
        above = [(2 * p - 1, text) for p, text in zip(positions, labels, strict=True) if p >= 0]
        positions, labels = [p for p, _ in above], [text.lstrip("+") for _, text in above]
    colour = np.nan_to_num((placed + 1) * 127, nan=255)
    extra = [c for c in ("stderr", "n", "rank") if c in heads]

    def clicked() -> None:
        pick = st.session_state[key].pick
        if pick:
            on_pick(int(pick["layer"]), int(pick["head"]))

    _component(
        key=key,
        data={
            "shape": list(values.shape),
            "colour": colour.round().astype(int).ravel().tolist(),
            "value": _rounded(values),
            "faint": grid(heads, "raced_out").ravel().tolist() if "raced_out" in heads else None,
            "opacity": FAINT,
            "extra": {name: _rounded(grid(heads, name)) for name in extra},
            "kept": [list(head) for head in kept],
            "picked": list(picked) if picked else None,
            "palette": list(palette),
            "ticks": [positions, labels],
            "title": title,
            "theme": {
                n: getattr(theme, n) for n in ("paper", "ink", "muted", "faint", "mark", "accent")
            },
        },
        on_pick_change=clicked,
    )


def _rounded(values: np.ndarray) -> list[float | None]:
    """Five significant digits, None for cells that do not exist (JSON has no NaN)."""
    return [None if np.isnan(v) else float(f"{v:.5g}") for v in values.ravel().astype(float)]
