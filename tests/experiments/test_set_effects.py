"""One set of heads against random ones: planted effects are found, absent ones are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from circuitseer_core.experiments.set_effects import (
    against,
    agreements,
    apart,
    bootstrap_means,
    by_source,
    decided,
    exact_interval,
    loss_against,
    specificity_against,
)

RNG = np.random.default_rng


def test_by_hand() -> None:
    effect = against(3.0, np.array([0.0, 1.0, 2.0]), items_error=0.5, items=10)
    error = np.sqrt(1.0 * (1 + 1 / 3) + 0.25)
    assert (effect.gap, effect.random, effect.exceeds, effect.draws) == (2.0, 1.0, 3, 3)
    half = stats.t.ppf(0.975, 2) * error  # three draws: two degrees of freedom
    assert (effect.low, effect.high) == pytest.approx((2 - half, 2 + half))
    assert effect.p == pytest.approx(2 * stats.t.sf(2 / error, 2))


def test_the_fewer_of_samples_and_sets_decide() -> None:
    effect = against(3.0, np.arange(10.0), items_error=1.0, items=2)
    error = np.hypot(np.arange(10).std(ddof=1) * 1.1**0.5, 1)
    assert effect.p == pytest.approx(2 * stats.t.sf(1.5 / error, 1))


def test_one_sample_says_nothing() -> None:
    effect = loss_against(np.array([9.0]), np.zeros((3, 1)))
    assert effect.p == 1.0 and np.isnan(effect.low)


def effects(rng: np.random.Generator, own: float) -> tuple[np.ndarray, np.ndarray]:
    """Rises on 30 samples of one set and of ten random ones, whose mean effects differ."""
    levels = rng.lognormal(-1.5, 0.5, 11)
    levels[0] += own
    samples = rng.lognormal(0, 0.3, 30)
    values = levels[:, None] * samples + rng.normal(0, 0.05, (11, 30))
    return values[0], values[1:]


def test_a_planted_effect_is_found() -> None:
    rows = decided([loss_against(*effects(RNG(seed), 2.0)) for seed in range(4)])
    assert all(row["found"] and row["low"] > 0 for row in rows)
    assert all(row["p_holm"] > row["p"] for row in rows[:1])


def test_a_set_like_the_others_is_not_found() -> None:
    decisions = [
        decided([loss_against(*effects(RNG(seed), 0.0))])[0]["found"] for seed in range(200)
    ]
    assert sum(decisions) <= 16  # 8 %: one in eleven is the largest, fewer pass the t test as well


def test_the_largest_of_the_draws_must_be_passed() -> None:
    draws = np.concatenate([np.zeros((30, 1)), [[5.0]]])
    effect = against(4.0, draws[:, 0], items_error=0.1, items=30)
    assert effect.exceeds == 30 and effect.p < 0.05
    assert not decided([effect])[0]["found"]


def test_specificity_of_a_planted_and_of_a_general_set() -> None:
    rng = RNG(0)
    clean = 1 + rng.random((1, 40))
    noise = 1 + 0.1 * rng.random((11, 40))
    special = np.concatenate([clean, clean + noise * np.r_[2.0, np.full(10, 0.1)][:, None]])
    general = np.concatenate([clean, clean + noise * np.r_[0.1, np.full(10, 0.1)][:, None]])
    planted, (low, high) = specificity_against(special, general)
    assert low < planted.ours < high and low > 1
    assert decided([planted])[0]["found"]
    alike, (low, high) = specificity_against(special, special[:, ::-1])
    assert alike.ours == pytest.approx(0.0) and low < 0 < high
    assert not decided([alike])[0]["found"]


def test_intervals_by_source() -> None:
    rng = RNG(1)
    losses = np.concatenate([np.ones((1, 60)), 3 + rng.normal(0, 0.5, (1, 60))])
    labels = pd.DataFrame({"heads": ["nothing", "reasoning"]})
    table = by_source(losses, ["a"] * 20 + ["b"] * 40, labels)
    assert table[["heads", "source"]].to_numpy().tolist() == [
        ["nothing", "a"], ["reasoning", "a"], ["nothing", "b"], ["reasoning", "b"],
    ]  # fmt: skip
    row = table.iloc[3]
    assert row["samples"] == 40 and row["rise"] == pytest.approx(losses[1, 20:].mean() - 1)
    half = 1.96 * losses[1, 20:].std() / 40**0.5
    assert row["rise_low"] == pytest.approx(row["rise"] - half, abs=0.03)
    assert row["rise_high"] == pytest.approx(row["rise"] + half, abs=0.03)
    assert (table["rise_high"] >= table["rise_low"]).all()


def test_bootstraps_are_seeded() -> None:
    values = RNG(2).random((2, 9))
    assert np.array_equal(bootstrap_means(values, 3), bootstrap_means(values, 3))
    assert not np.array_equal(bootstrap_means(values, 3), bootstrap_means(values, 4))


def test_one_sample_has_no_interval() -> None:
    losses = np.array([[1.0, 1.1, 0.9], [1.2, 1.4, 1.0]])
    labels = pd.DataFrame({"kind": ["nothing", "set"]})
    table = by_source(losses, ["a", "b", "b"], labels).set_index(["source", "kind"])
    assert table.loc[("a", "set"), "rise"] == pytest.approx(0.2)
    assert table.loc["a", ["loss_low", "loss_high", "rise_low", "rise_high"]].isna().all(axis=None)
    assert table.loc["b", ["rise_low", "rise_high"]].notna().all(axis=None)


@pytest.mark.parametrize("samples", [3, 8, 40])
def test_intervals_of_few_samples_hold_what_they_say(samples: int) -> None:
    """Plain percentiles hold the mean of three samples 76 % of the time, of eight 88 %."""
    low, high = bootstrap_means(RNG(3).normal(0, 1, (800, samples)))
    assert 0.92 < ((low <= 0) & (high >= 0)).mean() < 0.99


@pytest.mark.parametrize(("right", "asked"), [(0, 10), (3, 10), (10, 10)])
def test_exact_interval(right: int, asked: int) -> None:
    want = stats.binomtest(right, asked).proportion_ci(method="exact")
    assert exact_interval(right, asked) == pytest.approx((want.low, want.high))


def correlations(rng: np.random.Generator, own: float, sets: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlations of one set with ``sets`` random ones, and of these: m + a_i + a_j and noise."""
    level = rng.normal(0, 0.05, sets + 1)
    level[0] -= own
    noise = rng.normal(0, 0.01, (sets + 1, sets + 1))
    matrix = 0.8 + level[:, None] + level + (noise + noise.T) / 2
    np.fill_diagonal(matrix, 1.0)
    return matrix[0, 1:], matrix[1:, 1:]


@pytest.mark.parametrize("sets", [3, 20])
def test_a_set_that_agrees_as_others_do_does_not_stand_apart(sets: int) -> None:
    decisions = [
        decided([apart(*correlations(RNG(seed), 0.0, sets), 0.0, 500)])[0] for seed in range(300)
    ]
    assert sum(one["found"] for one in decisions) <= 21  # 7 %, of both sides' 5 %
    assert np.mean([one["low"] <= 0 <= one["high"] for one in decisions]) > 0.9


def test_a_set_that_stands_apart_is_found_and_measured() -> None:
    own, alike = correlations(RNG(0), 0.4, 20)
    [standing] = decided([apart(own, alike, 0.0, 500)])
    off = alike[~np.eye(20, dtype=bool)]
    assert standing["gap"] == pytest.approx(off.mean() - own.mean()) and standing["found"]
    by_hand = [(alike[i].sum() - 1 + own[i]) / 20 for i in range(20)]
    assert agreements(own, alike) == pytest.approx(by_hand)
