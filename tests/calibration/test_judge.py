"""The measure and its interval."""

from __future__ import annotations

import numpy as np
import pytest

from circuitseer_core.calibration.judge import Judge, Judged, mean_of, mean_over_sets
from circuitseer_core.correlation import partial, spearman


def three(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(10, 200, n).astype(float)
    target = rng.normal(size=n) + tokens / 60
    return target + rng.normal(size=n) + tokens / 90, target, tokens


def test_it_is_the_partial_rank_correlation() -> None:
    guess, target, tokens = three()
    plain = spearman(guess, target), spearman(guess, tokens), spearman(target, tokens)
    judged = Judge(target, tokens).partial(guess)
    assert judged.value == pytest.approx(partial(*plain), abs=1e-9)
    low, high = judged.interval
    assert low < judged.value < high and high - low == pytest.approx(0.09, abs=0.04)


def test_length_alone_tells_nothing() -> None:
    _, target, tokens = three()
    assert not np.isfinite(Judge(target, tokens).partial(np.log(tokens)).value)


def test_differences_between_sources_do_not_count_within_them() -> None:
    rng = np.random.default_rng(1)
    source = (np.arange(300) % 2).astype(np.int64)
    target = 5.0 * source + rng.normal(size=300)
    tokens = rng.integers(10, 99, 300).astype(float)
    guess = source + 0.01 * rng.normal(size=300)
    assert Judge(target, tokens).value(guess) > 0.6
    assert abs(Judge(target, tokens, groups=source).value(guess)) < 0.2


def test_scales_of_folds_do_not_count() -> None:
    guess, target, tokens = three()
    folds = (np.arange(300) % 3).astype(np.int64)
    moved = guess * np.array([1.0, 50.0, 0.1])[folds] + np.array([0.0, 900.0, -50.0])[folds]
    judge = Judge(target, tokens)
    assert judge.value(moved, folds) == pytest.approx(judge.value(guess, folds))
    assert judge.value(moved) < judge.value(guess) - 0.1


def test_rows_without_a_prediction_are_left_out() -> None:
    guess, target, tokens = three()
    some = np.where(np.arange(300) < 200, guess, np.nan)
    assert np.isfinite(Judge(target, tokens).partial(some).value)


def test_the_interval_holds_about_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        tokens = rng.integers(10, 200, 120).astype(float)
        low, high = Judge(rng.normal(size=120), tokens).partial(rng.normal(size=120)).interval
        inside += low <= 0 <= high
    assert inside >= 52


def test_differences_and_means_are_taken_draw_by_draw() -> None:
    one, two = Judged(0.5, np.array([0.4, 0.6])), Judged(0.2, np.array([0.1, 0.3]))
    assert one.minus(two).value == pytest.approx(0.3)
    assert np.allclose(one.minus(two).draws, [0.3, 0.3])
    assert mean_of([one, two]).value == pytest.approx(0.35)


def test_a_mean_over_sets_leaves_open_what_other_sets_would_give() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 0.02, 2000)  # what other rows change, the same for all sets
    level = rng.normal(0.2, 0.1, 10)
    sets = [Judged(value, value + rows) for value in level]
    judged, fixed = mean_over_sets(sets), mean_of(sets)
    assert judged.value == fixed.value == pytest.approx(level.mean())
    wanted = np.hypot(0.02, level.std() / 10**0.5)
    assert judged.draws.std() == pytest.approx(wanted, rel=0.1) and fixed.draws.std() < 0.021
    again = mean_over_sets(sets)
    assert np.array_equal(again.draws, judged.draws)
