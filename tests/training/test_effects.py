"""Paired differences over seeds and items: intervals that cover, corrections, seeds needed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from circuitseer_core.training.effects import difference, seeds_to_see, seen, seen_at_best


def _table(
    rng: np.random.Generator, seeds: int, items: int, effect: float, seed_sd: float = 0.02
) -> np.ndarray:
    """d_si = effect + a seed's share + an item's share + noise."""
    by_seed, by_item = rng.normal(0, seed_sd, (seeds, 1)), rng.normal(0, 0.2, (1, items))
    return effect + by_seed + by_item + rng.normal(0, 0.1, (seeds, items))


@pytest.mark.parametrize("seed_sd", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_the_interval_covers_the_effect_over_new_seeds_and_items(
    seeds: int, seed_sd: float
) -> None:
    rng = np.random.default_rng(seeds)
    differences = [difference(_table(rng, seeds, 60, 0.05, seed_sd)) for _ in range(300)]
    assert np.mean([one.low <= 0.05 <= one.high for one in differences]) >= 0.93


@pytest.mark.parametrize("seeds", [2, 3])
def test_seeds_that_happen_to_agree_make_no_finding(seeds: int) -> None:
    """One t of Satterthwaite's finds 3 (3 seeds) and 9 of 100 nothings at 1 %, at 5 % 8 and 13."""
    rng = np.random.default_rng(9)
    chances = np.array([difference(_table(rng, seeds, 60, 0, 0.1)).p for _ in range(500)])
    assert (chances < 0.05).mean() < 0.06 and (chances < 0.01).mean() <= 0.016


def test_the_chance_is_that_of_the_interval_that_ends_at_nothing() -> None:
    gap = difference(_table(np.random.default_rng(3), 3, 60, 0.1))
    assert 1e-5 < gap.p < 0.2
    edge = difference(_table(np.random.default_rng(3), 3, 60, 0.1), level=1 - gap.p)
    assert edge.low == pytest.approx(0, abs=1e-9) and edge.high == pytest.approx(2 * gap.mean)


def test_items_alone_would_claim_too_much_where_seeds_differ() -> None:
    rng = np.random.default_rng(5)
    tables = [_table(rng, 3, 60, 0.0, seed_sd=0.1) for _ in range(300)]
    of_items = np.mean([ttest_1samp(table.mean(0), 0).pvalue < 0.05 for table in tables])
    assert of_items > 0.25 > 0.13 > np.mean([difference(table).p < 0.05 for table in tables])


def test_one_seed_is_the_paired_t_test_over_items() -> None:
    table = _table(np.random.default_rng(0), 1, 40, 0.1)
    gap = difference(table)
    assert gap.p == pytest.approx(ttest_1samp(table[0], 0).pvalue)
    assert gap.seed_sd is None and seeds_to_see(gap, 0.01) is None


def test_a_constant_difference_is_certain_and_none_is_none() -> None:
    assert difference(np.full((3, 5), 0.2)).p < 1e-9
    assert difference(np.zeros((3, 5))).p == 1
    with pytest.raises(ValueError, match="at least 2 items"):
        difference(np.zeros((3, 1)))


def test_more_seeds_are_needed_for_smaller_differences() -> None:
    rng = np.random.default_rng(4)
    table = rng.normal(0, 0.05, (4, 1)) + rng.normal(0, 0.01, (4, 400))
    gap = difference(table)
    large, small = (seeds_to_see(gap, size) for size in (0.1, 0.03))
    assert large is not None and small is not None and large < small
    noisy = difference(rng.normal(0, 1.0, (1, 20)).repeat(4, 0) + rng.normal(0, 0.01, (4, 20)))
    assert seeds_to_see(noisy, 0.01) is None, "items alone hide it"


def test_seeds_average_out_what_is_theirs_and_not_what_is_the_items() -> None:
    """Of noise that is new with every seed and item, more seeds leave nothing."""
    rng = np.random.default_rng(6)
    noise = difference(rng.normal(0, 0.1, (3, 100)))
    assert noise.stderr**2 == pytest.approx(noise.of_items + (noise.of_a_seed or 0.0) / 3)
    needed = seeds_to_see(noise, seen(noise) / 2)
    assert needed is not None and 5 < needed < 40
    items = difference(rng.normal(0, 0.1, (1, 100)).repeat(3, 0) + rng.normal(0, 0.001, (3, 100)))
    assert seen_at_best(items) == pytest.approx(seen(items), rel=0.05)
    assert seeds_to_see(items, 0.9 * seen_at_best(items)) is None


def test_what_is_seen_is_seen_four_times_of_five() -> None:
    rng = np.random.default_rng(7)
    size = float(np.mean([seen(difference(_table(rng, 4, 60, 0.0))) for _ in range(100)]))
    shown = [difference(_table(rng, 4, 60, size)).low > 0 for _ in range(300)]
    assert 0.7 < np.mean(shown) < 0.95
