"""Maps of heads measured anew, and how far two agree: planted, absent, and only noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from circuitseer_core.data.sample import Sample
from circuitseer_core.detection.ablation import AblationMode
from circuitseer_core.experiments.head_maps import (
    HeadMap,
    MapJob,
    agreement,
    best_heads,
    halves_agree,
    measure_maps,
    relabelled_chance,
    top_size,
)
from circuitseer_core.model.encoding import Encoded, encode_for_loss
from circuitseer_core.model.loading import load_run_model
from circuitseer_core.runs.folder import Run
from tests.support.detected_run import detected_run
from tests.support.naive import naive_delta, naive_loss

RNG = np.random.default_rng


def deltas(
    rng: np.random.Generator, means: np.ndarray, n: int = 20, noise: float = 0.3
) -> np.ndarray:
    """(n, H) loss changes around ``means`` (H,)."""
    return means + rng.normal(0, noise, (n, len(means)))


def heavy(rng: np.random.Generator, heads: int = 100) -> np.ndarray:
    """Few large effects, many small ones."""
    return rng.lognormal(-2, 1.5, heads)


class TestAgreement:
    def test_by_hand(self) -> None:
        one, other = deltas(RNG(0), heavy(RNG(1))), deltas(RNG(2), heavy(RNG(3)))
        agreed = agreement(one, other, 10, paired=False, boots=50)
        a, b = one.mean(axis=0), other.mean(axis=0)
        assert agreed.spearman == pytest.approx(stats.spearmanr(a, b).statistic)
        both = set(np.argsort(-a)[:10]) & set(np.argsort(-b)[:10])
        assert (agreed.shared, agreed.overlap) == (len(both), len(both) / 10)
        assert agreed.chance == 0.1
        assert agreed.p == pytest.approx(stats.hypergeom.sf(len(both) - 1, 100, 10, 10))
        assert agreed.spearman_low <= agreed.spearman <= agreed.spearman_high

    def test_the_same_means_agree_and_others_do_not(self) -> None:
        means = heavy(RNG(1))
        same = agreement(deltas(RNG(2), means), deltas(RNG(3), means), 10, paired=False)
        assert same.p < 1e-4 and same.spearman_low > 0.3
        apart = agreement(deltas(RNG(2), means), deltas(RNG(3), means[::-1]), 10, paired=False)
        assert apart.p > 0.05 and apart.spearman_low < 0.2

    def test_intervals_hold_what_another_sample_gives(self) -> None:
        """Of the true correlation of two maps whose noise is small."""
        means = RNG(0).normal(0, 1, 60)
        others = means + RNG(1).normal(0, 1, 60)
        true = stats.spearmanr(means, others).statistic
        inside = 0
        for seed in range(20):
            rng = RNG(100 + seed)
            agreed = agreement(
                deltas(rng, means), deltas(rng, others), 6, paired=False, boots=60, seed=seed
            )
            inside += agreed.spearman_low <= true <= agreed.spearman_high
        assert inside >= 17

    def test_halves_of_noise_do_not_agree(self) -> None:
        rho, overlap = halves_agree(deltas(RNG(0), np.zeros(100)), 10)
        assert abs(rho) < 0.2 and overlap < 0.3
        rho, overlap = halves_agree(deltas(RNG(0), heavy(RNG(1)), noise=0.01), 10)
        assert rho > 0.9 and overlap > 0.8
        assert np.isnan(halves_agree(np.ones((3, 9)), 2)).all()

    def test_relabelled_samples(self) -> None:
        means = heavy(RNG(1))
        alike = [
            relabelled_chance(deltas(RNG(s), means), deltas(RNG(50 + s), means), times=99)
            for s in range(10)
        ]
        assert sum(p < 0.05 for p in alike) <= 2
        apart = relabelled_chance(deltas(RNG(2), means), deltas(RNG(3), means[::-1]), times=199)
        assert apart <= 0.01


class TestMeasuring:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Run:
        return detected_run(tmp_path)

    def samples(self, run: Run) -> list[Encoded]:
        reference = load_run_model(run.model, run.model.dtype, "cpu")
        made = [
            encode_for_loss(
                reference.tokenizer,
                Sample(f"s/{i}", "s", f"What is {i} + 30?", f"{i + 30}, I say", {}),
                template="plain",
            )
            for i in (3, 1, 2)
        ]
        return [each for each in made if isinstance(each, Encoded)]

    def test_maps_are_those_of_naive_passes_and_are_kept(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reference = load_run_model(run.model, run.model.dtype, "cpu")
        samples, heads = self.samples(run), [(1, 2), (0, 1)]
        jobs = [
            MapJob("uniform", samples, AblationMode()),
            MapJob("zero", samples, AblationMode("zero")),
        ]
        maps = measure_maps(run, reference, "maps", jobs, heads)
        for each, mode in zip(maps, ("uniform", "zero"), strict=True):
            assert each.heads == sorted(heads) and each.ids == [s.id for s in samples]
            for column, (layer, head) in enumerate(each.heads):
                want = [naive_delta(reference, s, layer, head, mode=mode) for s in samples]
                np.testing.assert_allclose(each.delta[:, column], want, atol=1e-4)
            np.testing.assert_allclose(
                each.clean, [naive_loss(reference, s, {}) for s in samples], atol=1e-4
            )
        assert np.abs(maps[0].delta - maps[1].delta).max() > 1e-3
        monkeypatch.setattr("circuitseer_core.experiments.head_maps._measure", None)
        again = measure_maps(run, reference, "maps", jobs, heads)
        np.testing.assert_array_equal(again[1].delta, maps[1].delta)

    def test_best_heads_and_sizes(self, run: Run) -> None:
        assert best_heads(run, 0.25) == [(0, 0), (0, 1)] and len(best_heads(run, 1.0)) == 8
        assert top_size("0.05", 270, 54) == 14 and top_size("0.5", 8, 3) == 2

    def test_top_of_a_map(self) -> None:
        made = HeadMap("m", [(0, 0), (0, 1), (1, 0)], np.array([[1.0, 3, 2]]), np.ones(1))
        assert made.top(2) == [(0, 1), (1, 0)]
