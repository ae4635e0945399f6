"""Statements over draws of random heads."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from circuitseer_core.correlation import control_agreement, draws_in_words, over_draws, rank_chance


def test_the_interval_over_draws_is_students() -> None:
    values = [0.90, 0.94, 0.97, 0.91]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert over_draws(values) == pytest.approx((low, high))
    assert over_draws([0.5]) is None
    assert over_draws([0.9, 1.0])[1] == 1.0, "a correlation is never above 1"
    assert over_draws([9.0, 11.0], (-np.inf, np.inf))[1] > 11


def test_chance_by_rank() -> None:
    assert rank_chance(5.0, [1.0, 2.0, 3.0]) == 1 / 4
    assert rank_chance(2.0, [1.0, 2.0, 3.0]) == 3 / 4
    assert rank_chance(0.0, [float(i) for i in range(1, 21)]) == 1.0
    assert rank_chance(21.0, [float(i) for i in range(1, 21)]) == 1 / 21
    assert np.isnan(rank_chance(1.0, [])) and np.isnan(rank_chance(float("nan"), [1.0]))


def test_draws_on_different_rows_say_so() -> None:
    score = np.arange(50.0)
    some = np.where(score < 20, score**2, np.nan)
    agreement = control_agreement(score, [score, some])
    assert agreement is not None and (agreement.rows, agreement.fewest) == (50, 20)
    assert agreement.basis == "mean of 2 draws, 95 % interval +1.00 to +1.00, on 20 to 50 rows"
    assert draws_in_words(1, None) == "1 draw"
