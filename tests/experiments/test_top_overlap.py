"""The interval of what two scores' top rows share."""

from __future__ import annotations

import numpy as np
import pytest

from circuitseer_core.experiments.top_overlap import top_interval
from circuitseer_core.selection.overlap import drawn, shared
from tests.support.experiment_tests import RNG


def _scores(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two scores with a quality in common, and noise for ties."""
    latent = rng.normal(size=n)
    one, other = (latent + 0.5 * rng.normal(size=n) for _ in range(2))
    return one, other, rng.normal(size=n)


@pytest.mark.parametrize(("n", "k"), [(400, 40), (90, 60), (60, 3)])
def test_a_resample_is_that_of_rows_drawn_with_replacement(n: int, k: int) -> None:
    """The same spread as from rows that are resampled and sorted one by one."""
    one, other, noise = _scores(RNG(1), n)
    interval = top_interval(one, other, noise, k, times=4000)
    rng, plain = RNG(2), []
    for _ in range(4000):
        rows = np.sort(rng.integers(0, n, n))
        ties = np.arange(n, 0.0, -1)  # copies in one order for both scores
        plain.append(shared(*(drawn(score[rows], ties, 0.0, k) for score in (one, other))))
    ends = np.quantile(plain, [0.025, 0.975])
    np.testing.assert_allclose([interval.low, interval.high], ends, atol=1.01 / k)
    assert interval.estimate == shared(drawn(one, noise, 0.0, k), drawn(other, noise, 0.0, k))


def test_it_holds_what_the_population_shares() -> None:
    one, other, noise = _scores(RNG(3), 200_000)
    truth = shared(drawn(one, noise, 0.0, 20_000), drawn(other, noise, 0.0, 20_000))
    holding = 0
    for trial in range(200):
        interval = top_interval(*_scores(RNG([4, trial]), 500), 50, times=200, seed=trial)
        holding += interval.low <= truth <= interval.high
    assert holding >= 180, f"{holding} of 200 intervals of 95 % hold {truth:.3f}"


def test_all_or_none_in_common_is_not_certain() -> None:
    """Of 20 rows that are all shared, 0.83 and more is what 95 % of binomial draws allow."""
    score, noise = np.arange(200.0), RNG(0).normal(size=200)
    same = top_interval(score, score, noise, 20)
    assert (same.estimate, same.high) == (1.0, 1.0)
    assert same.low == pytest.approx(0.025 ** (1 / 20))
    none = top_interval(score, -score, noise, 20)
    assert (none.estimate, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 20))
    wider = top_interval(score, score, noise, 20, level=0.99)
    assert wider.low < same.low
