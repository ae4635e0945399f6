"""Figures of experiments."""

from __future__ import annotations

import pandas as pd
import pytest

from circuitseer_core.figures import evidence
from circuitseer_core.figures.style import LIGHT


def of_draws(draws: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"scorer": scorer, "control": draw, "spearman": 0.5 + draw / 100}
            for scorer in ("variance", "focus")
            for draw in range(draws)
        ]
    )


@pytest.mark.parametrize("draws", [3, 20])
def test_twenty_draws_take_no_more_room_than_three(draws: int) -> None:
    fig = evidence.intervals(of_draws(draws), LIGHT, label="scorer", x="spearman", group="control")
    assert sum(len(trace.x) for trace in fig.data) == 2 * draws
    assert fig.layout.height <= 200
    named = [trace for trace in fig.data if trace.showlegend]
    colours = {trace.marker.color for trace in fig.data}
    assert (len(named), len(colours)) == ((3, 3) if draws == 3 else (0, 1))
    assert "control 2" in fig.data[2].hovertemplate
