"""Intervals hold as often as they say, and get wider where more is looked at."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from circuitseer_core.experiments.intervals import (
    bonferroni_level,
    of_errors,
    of_spearman,
    percentile,
    resampled,
)
from tests.support.experiment_tests import RNG, spearman


def test_the_level_is_shared_among_the_comparisons() -> None:
    assert bonferroni_level(1) == pytest.approx(0.95)
    assert bonferroni_level(5) == pytest.approx(0.99)


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_a_spearman_interval_holds_as_often_as_it_says(rho: float) -> None:
    rng = RNG(0)
    true = 6 / math.pi * math.asin(rho / 2)  # Spearman of two normals with Pearson's rho
    covered = 0
    for _ in range(400):
        pair = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], 60)
        interval = of_spearman(spearman(*pair.T), 60)
        covered += interval.low <= true <= interval.high
    assert 0.92 < covered / 400 < 0.98


def test_the_error_of_few_samples_is_taken_as_students_t() -> None:
    normal, few = of_errors(0.5, 0.1, 0.99), of_errors(0.5, 0.1, 0.99, samples=8)
    assert normal.high == pytest.approx(0.5 + 2.576 * 0.1, abs=1e-4)
    assert (few.low, few.high) == pytest.approx((0.5 - 3.499 * 0.1, 0.5 + 3.499 * 0.1), abs=1e-4)


def test_too_few_rows_have_no_interval() -> None:
    assert math.isnan(of_spearman(0.3, 3).low)
    assert math.isnan(percentile(math.nan, np.zeros(100)).low)


def test_a_bootstrap_of_a_mean_is_its_standard_error() -> None:
    values = RNG(1).normal(3, 2, 200)
    draws = resampled(lambda rows: np.array([values[rows].mean()]), 200, times=600)
    interval = percentile(float(values.mean()), draws[:, 0])
    t = stats.t.interval(0.95, 199, values.mean(), stats.sem(values))
    assert interval.low == pytest.approx(t[0], abs=0.06)
    assert interval.high == pytest.approx(t[1], abs=0.06)
