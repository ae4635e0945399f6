"""Diagnostics against their definitions, and simulated seeds against real ones."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from circuitseer_core.correlation import spearman
from circuitseer_core.runs.selection_records import Diagnostics
from circuitseer_core.selection import diagnostics
from circuitseer_core.selection.diagnostics import diagnose, gini, ks_distance
from circuitseer_core.selection.draw import Drawing, draw
from circuitseer_core.selection.gumbel import probabilities
from circuitseer_core.selection.pool import make_pool
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.sift import Rules


def drawing(n: int = 600, seed: int = 0, rules: Rules | None = None, **options: object) -> Drawing:
    rng = np.random.default_rng(0)
    source = rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])
    scores = rng.lognormal(size=n) * np.where(source == "c", 4.0, 1.0)
    frame = pd.DataFrame(
        {
            "id": [f"{s}/{i}" for i, s in enumerate(source)],
            "source": source,
            "variance": scores,
            "n_tokens": rng.integers(5, 200, n),
        }
    )
    pool = make_pool(frame, "variance", tokens=frame["n_tokens"].to_numpy())
    return draw(pool, SelectionSettings.of(seed=seed, **options), rules or Rules())


def test_concentration_follows_its_definitions() -> None:
    made = drawing()
    diagnosed = diagnose(made, seeds=5)
    p = probabilities(made.pool.score, 1.0)
    assert diagnosed.entropy == pytest.approx(stats.entropy(p))
    assert diagnosed.entropy_share == pytest.approx(stats.entropy(p) / np.log(600))
    assert diagnosed.ess == pytest.approx(1 / (p**2).sum())
    assert diagnosed.ess_share == pytest.approx(diagnosed.ess / 600)
    gaps = np.abs(p[:, None] - p[None, :]).mean() / (2 * p.mean())
    assert diagnosed.gini == pytest.approx(gaps)


def test_a_uniform_draw_reads_as_one() -> None:
    diagnosed = diagnose(drawing(temperature=float("inf")), seeds=5)
    assert diagnosed.ess_share == pytest.approx(1) and diagnosed.entropy_share == pytest.approx(1)
    assert diagnosed.gini == pytest.approx(0, abs=1e-9)
    assert abs(diagnosed.score.z) < 4
    assert diagnosed.to_json()["temperature"] == "inf"


def test_lift_mass_and_overlap() -> None:
    made = drawing()
    diagnosed = diagnose(made, seeds=5)
    score, chosen = made.pool.score, made.chosen
    top = np.sort(score)[::-1][:60]
    assert diagnosed.score.lift == pytest.approx(score[chosen].mean() / score.mean() - 1)
    assert diagnosed.score.top_k_lift == pytest.approx(top.mean() / score.mean() - 1)
    assert diagnosed.mass.subset == pytest.approx(score[chosen].sum() / score.sum())
    assert diagnosed.mass.top_k == pytest.approx(top.sum() / score.sum())
    assert diagnosed.mass.random == diagnosed.overlap.random_expected == pytest.approx(0.1)
    overlap = np.isin(chosen, np.argsort(-score)[:60]).mean()
    assert diagnosed.overlap.top_k == pytest.approx(overlap)
    assert diagnose(drawing(temperature=0), seeds=3).overlap.top_k == 1
    rng = np.random.default_rng(1)
    means = [rng.choice(score, 60, replace=False).mean() for _ in range(4000)]
    assert diagnosed.score.random_sd == pytest.approx(np.std(means), rel=0.05)


def test_simulated_seeds_behave_like_real_ones() -> None:
    diagnosed = diagnose(drawing(), seeds=200)
    real = [drawing(seed=seed) for seed in range(1, 101)]
    first = set(drawing().chosen.tolist())
    overlap = np.mean([len(first & set(d.chosen.tolist())) / 60 for d in real])
    assert len(diagnosed.overlap.seeds) == 10
    assert diagnosed.overlap.seeds_mean == pytest.approx(overlap, abs=0.06)
    for number, entry in enumerate(diagnosed.sources):
        shares = np.array([(d.pool.source[d.chosen] == number).mean() for d in real])
        error = 4 * shares.std() * np.sqrt(1 / 100 + 1 / 200)
        assert entry.expected == pytest.approx(shares.mean(), abs=error)
        inside = ((shares >= entry.low) & (shares <= entry.high)).mean()
        assert inside >= 0.88
    assert sum(s.share for s in diagnosed.sources) == pytest.approx(1)
    drawn, expected = diagnosed.sources[2].share, diagnosed.sources[2].pool_share
    assert drawn > 2 * expected, "source c has four times the scores"


def test_simulation_obeys_the_limits() -> None:
    diagnosed = diagnose(drawing(stratify="proportional"), seeds=20)
    for entry in diagnosed.sources:
        assert entry.low == entry.high == pytest.approx(entry.share)
    musts = frozenset(f"{s}/{i}" for i in range(600) for s in "abc" if i < 20)
    diagnosed = diagnose(drawing(rules=Rules(include_ids=musts), max_per_source=25), seeds=20)
    assert max(diagnosed.overlap.seeds) <= 1 and min(diagnosed.overlap.seeds) >= 20 / 75


def test_large_pools_are_simulated_on_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = diagnose(drawing(6000), seeds=150)
    monkeypatch.setattr(diagnostics, "SIMULATED_ROWS", 2000)
    part = diagnose(drawing(6000), seeds=150)
    assert whole.simulated.rows == 6000 and 1800 < part.simulated.rows < 2200
    for one, other in zip(whole.sources, part.sources, strict=True):
        assert other.expected == pytest.approx(one.expected, abs=0.03)
        spread = one.high - one.low
        assert other.high - other.low == pytest.approx(spread, rel=0.35)


def test_distributions_cover_everyone() -> None:
    made = drawing()
    diagnosed = diagnose(made, seeds=2).distributions
    for name, values in (("score", made.pool.score), ("length", made.pool.length)):
        distribution = getattr(diagnosed, name)
        assert sum(distribution.pool) == 600 and sum(distribution.subset) == 60
        assert distribution.pool_mean == pytest.approx(values.mean())
        assert distribution.subset_quantiles[3] == pytest.approx(np.median(values[made.chosen]))
        expected = stats.ks_2samp(values, values[made.chosen]).statistic
        assert distribution.ks == pytest.approx(expected)


def test_length_correlation_before_and_after_control() -> None:
    made = drawing(length_control="within-bins")
    diagnosed = diagnose(made, seeds=2).length
    assert diagnosed.spearman == pytest.approx(
        stats.spearmanr(made.pool.score, made.pool.length).statistic
    )
    assert diagnosed.spearman_controlled == pytest.approx(
        stats.spearmanr(made.weight, made.pool.length).statistic
    )


def test_small_statistics() -> None:
    assert gini(np.array([0.0, 0.0, 0.0, 1.0])) == pytest.approx(0.75)
    assert gini(np.zeros(3)) == 0 and np.isnan(spearman(np.ones(3), np.arange(3.0)))
    assert ks_distance(np.array([1.0, 2.0, 3.0]), np.array([5.0])) == 1


def test_everything_is_json_and_the_same_in_any_row_order() -> None:
    made = drawing()
    text = json.dumps(diagnose(made, seeds=20).to_json(), allow_nan=False)
    order = np.random.default_rng(2).permutation(len(made.pool))
    again = draw(made.pool.take(order), SelectionSettings.of(), Rules())
    one = Diagnostics.model_validate_json(text)
    other = diagnose(again, seeds=20)
    assert one.overlap == other.overlap and one.score.subset == other.score.subset
    assert [s.expected for s in one.sources] == [s.expected for s in other.sources]


@pytest.mark.parametrize("scores", [[0.0] * 6, [3.0] * 6, [0.0, 0.0, 0.0, 0.0, 0.0, 1.0], [2.0]])
def test_degenerate_pools_have_diagnostics(scores: list[float]) -> None:
    frame = pd.DataFrame({"id": [f"i{i}" for i in range(len(scores))], "variance": scores})
    pool = make_pool(frame, "variance", tokens=np.ones(len(scores), dtype=np.int64))
    made = draw(pool, SelectionSettings.of(fraction=0.5), Rules())
    diagnosed = diagnose(made, seeds=3)
    json.dumps(diagnosed.to_json(), allow_nan=False)
    positive = sum(score > 0 for score in scores) or len(scores)
    assert diagnosed.ess == pytest.approx(positive)
