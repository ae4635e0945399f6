"""Shares are written as words everywhere: 0.4 % is not "0 %", and 99.7 % is not "100 %"."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from circuitseer_core.distributions import Bins
from circuitseer_core.figures import evidence, head_detail, review, scores, selection
from circuitseer_core.figures.style import LIGHT

SMALL, LARGE = 0.0004, 0.9996
TABLE = pd.DataFrame(
    {"name": ["x", "y"], "across": ["p", "q"], "share": [SMALL, LARGE], "at": [0.0, 1.0]}
)
BINS = Bins(np.array([0.0, 1.0, 2.0]), log=False)
COUNTS = np.array([4, 9_996])
HEADS = pd.DataFrame({"layer": [0, 0], "head": [0, 1], "importance": [0.1, 0.2]})

FIGURES = {
    "intervals": evidence.intervals(TABLE, LIGHT, label="name", x="share", shares=True),
    "lines": evidence.lines(TABLE, LIGHT, x="at", y="share", shares=True),
    "bars": evidence.bars(TABLE, LIGHT, label="name", x="share", shares=True),
    "matrix": evidence.matrix(TABLE, LIGHT, x="across", y="name", value="share", shares=True),
    "sources": selection.shares_by_source(
        pd.DataFrame({"source": ["x", "y"], "before": [SMALL, LARGE], "after": [SMALL, LARGE]}),
        LIGHT,
    ),
    "before_after": selection.before_after(COUNTS, COUNTS, BINS, LIGHT, x_title="tokens"),
    "drawn": selection.drawn_share(np.array([SMALL, LARGE]), 0.5, 90, LIGHT),
    "histogram": scores.histogram_by_group(
        COUNTS[None], BINS, ["g"], LIGHT, x_title="score", medians=np.array([1.5])
    ),
    "controls": scores.against_controls(
        np.stack([COUNTS, COUNTS]), BINS, ["own", "random"], LIGHT, x_title="score"
    ),
    "sinks": head_detail.importance_by_sink(
        HEADS.assign(sink_share=[SMALL, LARGE]), [(0, 0)], theme=LIGHT
    ),
    "agreement": review.agreement_lines(
        TABLE.assign(rate=[SMALL, LARGE], low=SMALL, high=LARGE, agreed=1, decided=2), LIGHT
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_no_share_is_rounded_to_nothing_or_to_all(name: str) -> None:
    words = _words(FIGURES[name])
    assert {"0.04 %", "99.96 %"} <= words, words


def _words(fig: go.Figure) -> set[str]:
    """The texts behind a figure's hovers and cells; no share is left to plotly's own format."""
    words: set[str] = set()
    for trace in fig.data:
        shown = [trace.hovertemplate or "", getattr(trace, "texttemplate", None) or ""]
        assert not any("%}" in template for template in shown)
        for values in (trace.customdata, getattr(trace, "text", None)):
            if values is not None:
                words |= {str(value) for value in np.array(values, dtype=object).ravel()}
    return words
