"""The schedule, and what racing misses: on simulated effects against what is computed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from circuitseer_core.detection.racing import Round, cost, race, schedule, survivors


@given(n_samples=st.integers(1, 400), n_heads=st.integers(1, 6000), wanted=st.integers(1, 300))
def test_schedule_ends_with_every_sample_and_twice_the_wanted(
    n_samples: int, n_heads: int, wanted: int
) -> None:
    rounds = schedule(n_samples, n_heads, wanted)
    assert rounds[0].keep == n_heads and rounds[-1].samples == n_samples
    if len(rounds) > 1:
        assert rounds[-1].keep == min(n_heads, 2 * wanted)
    assert all(a.samples < b.samples and a.keep > b.keep for a, b in pairwise(rounds))
    assert cost(rounds) <= n_samples * n_heads


def test_the_schedule_of_the_notes() -> None:
    assert schedule(14, 270, 14) == [Round(2, 270), Round(4, 108), Round(7, 54), Round(14, 28)]
    assert cost(schedule(14, 270, 14)) / (14 * 270) == pytest.approx(0.295, abs=0.01)


def test_survivors_break_ties_by_index_and_drop_nan() -> None:
    assert survivors(np.array([1.0, np.nan, 2.0, 1.0]), 2).tolist() == [0, 2]


def test_a_race_without_noise_finds_the_true_heads() -> None:
    effects = np.linspace(0, 1, 200)
    chosen, _ = race(np.tile(effects, (16, 1)), 10)
    assert sorted(chosen) == list(range(190, 200))


def test_miss_rate_equals_the_computed_one() -> None:
    """One strong head among many null ones: it is missed when the pilot ranks it too low.

    With effect m, unit noise and n pilot samples its mean is N(m, 1/n); it survives the pilot
    unless at least ``keep`` of the others exceed it: a binomial tail, integrated over its mean.
    """
    n_heads, wanted, effect = 120, 6, 0.9
    rounds = schedule(4, n_heads, wanted)
    assert len(rounds) >= 2
    rng = np.random.default_rng(0)
    trials = 4000
    pilot, keep = rounds[0].samples, rounds[1].keep
    missed = 0
    for _ in range(trials):
        delta = rng.standard_normal((pilot, n_heads))
        delta[:, 0] += effect
        missed += 0 not in survivors(delta.mean(0), keep)
    grid = np.linspace(effect - 8, effect + 8, 4001)
    density = stats.norm.pdf(grid, effect, pilot**-0.5)
    above = stats.norm.sf(grid, 0, pilot**-0.5)
    computed = np.trapezoid(density * stats.binom.sf(keep - 1, n_heads - 1, above), grid)
    error = 4 * np.sqrt(computed * (1 - computed) / trials)
    assert abs(missed / trials - computed) < error
    assert computed > 0.02  # else the comparison says nothing


def test_recall_on_heavy_tailed_effects() -> None:
    """Loss changes look like this: a few large heads, hundreds near zero."""
    rng = np.random.default_rng(1)
    recalls = []
    for _ in range(40):
        effects = np.abs(rng.standard_t(1.5, 270)) * 0.02
        delta = effects + rng.normal(0, 0.03 + 0.3 * effects, (16, 270))
        chosen, _ = race(delta, 14)
        exact = np.argsort(-delta.mean(0))[:14]
        recalls.append(len(set(chosen) & set(exact)))
    assert np.mean(recalls) >= 12
