"""Length control."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.selection.gumbel import (
    effective_size,
    probabilities,
)
from circuitseer_core.selection.length_control import control_length
from circuitseer_core.selection.select import select
from tests.support.score_frames import frame


def test_length_control_takes_length_out_and_leaves_the_strength() -> None:
    rng = np.random.default_rng(4)
    lengths = rng.integers(10, 400, 4000).astype(float)
    scores = lengths**2 * rng.lognormal(0, 0.4, 4000)
    controlled = control_length(scores, lengths)
    before = pd.Series(scores).corr(pd.Series(lengths), method="spearman")
    after = pd.Series(controlled).corr(pd.Series(lengths), method="spearman")
    assert before > 0.9 and abs(after) < 0.12  # what is left lies within the bins
    for q in (0.1, 0.5, 0.9):
        assert np.quantile(controlled, q) == pytest.approx(np.quantile(scores, q), rel=0.02)
    sizes = [effective_size(probabilities(s, 1.0)) for s in (scores, controlled)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02)
    for low in range(10, 400, 130):  # within a narrow stretch of lengths the order stays
        rows = np.flatnonzero(lengths == low)
        assert (np.argsort(scores[rows]) == np.argsort(controlled[rows])).all()


def test_length_control_with_one_length_changes_nothing() -> None:
    scores = np.random.default_rng(5).lognormal(size=100)
    assert (control_length(scores, np.full(100, 20.0)) == scores).all()
    with pytest.raises(UserError, match="token count"):
        select(frame(scores).drop(columns="n_tokens"), length_control="within-bins")
