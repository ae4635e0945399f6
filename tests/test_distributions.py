"""Distributions by group agree with numpy and scipy done the slow way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from circuitseer_core import correlation as corr
from circuitseer_core import distributions as dist


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    values = rng.gamma(2.0, 1.5, 3000)
    values[::50] = np.nan
    codes = rng.integers(-1, 4, 3000).astype(np.int32)
    return values, rng.integers(5, 300, 3000).astype(float), codes


@pytest.mark.parametrize("log", [False, True])
def test_histograms_count_every_row_once(data, log: bool) -> None:
    values, _, codes = data
    bins = dist.shared_bins(values, 30, log=log)
    counts = dist.histogram(values, codes, 4, bins)
    for g in range(4):
        own_values = values[(codes == g) & np.isfinite(values)]
        slow, _ = np.histogram(np.clip(own_values, bins.edges[0], bins.edges[-1]), bins.edges)
        assert counts[g].sum() == len(own_values)
        assert np.abs(counts[g] - slow).sum() <= 2  # a value on an edge may round either way
    finite = values[np.isfinite(values)]
    assert bins.below == (finite < bins.edges[0]).sum() > 0
    assert bins.above == (finite > bins.edges[-1]).sum() > 0


def test_bins_of_odd_columns() -> None:
    for values in (np.full(9, 3.0), np.array([np.nan]), np.array([])):
        for log in (False, True):
            bins = dist.shared_bins(values.astype(float), 8, log=log)
            assert (np.diff(bins.edges) > 0).all() and bins.count == 8
    placed = dist.bin_of(np.array([0.0, -1.0, np.nan, np.inf]), dist.shared_bins(
        np.arange(1.0, 100.0), 8, log=True))  # fmt: skip
    assert placed.tolist() == [0, 0, -1, 7]


def test_two_dimensions(data) -> None:
    values, tokens, _ = data
    x, y = dist.shared_bins(tokens, 12), dist.shared_bins(values, 9)
    counts = dist.histogram2d(dist.bin_of(tokens, x), dist.bin_of(values, y), (9, 12))
    assert counts.shape == (9, 12) and counts.sum() == np.isfinite(values).sum()
    codes = dist.bin_of(tokens, x).astype(np.int32)
    assert np.array_equal(counts.T, dist.histogram(values, codes, 12, y))


def test_statistics_agree_with_numpy(data) -> None:
    values, tokens, codes = data
    table = dist.statistics(values, tokens, codes, list("abcd"))
    for g, row in enumerate(table[:4].itertuples()):
        own_values = values[(codes == g) & np.isfinite(values)]
        assert row.rows == len(own_values)
        assert row.mean == pytest.approx(own_values.mean()) and row.sd == pytest.approx(
            own_values.std()
        )
        assert [row.p5, row.p25, row.median, row.p75, row.p95] == pytest.approx(
            np.quantile(own_values, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
        )
        assert row.tokens == np.median(tokens[codes == g])
    everyone = table.iloc[4]
    assert (everyone["group"], everyone["rows"]) == ("all", table["rows"][:4].sum())
    empty = dist.statistics(values, tokens, np.zeros(3000, np.int32), ["a", "none"])
    assert empty["rows"].tolist()[1] == 0 and np.isnan(empty["mean"][1])


def test_rank_correlation_is_scipys(data) -> None:
    values, tokens, _ = data
    use = np.isfinite(values)
    rho = corr.correlation(corr.ranks(values[use]), corr.ranks(tokens[use]))
    assert rho == pytest.approx(stats.spearmanr(values[use], tokens[use]).statistic)
    assert np.isnan(corr.correlation(np.ones(5), np.arange(5.0)))
    assert np.isnan(corr.correlation(np.arange(2.0), np.arange(2.0)))


def test_partial_correlation_removes_the_third() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=20_000)
    x, y = z + rng.normal(size=z.size), z + rng.normal(size=z.size)
    r = [float(np.corrcoef(a, b)[0, 1]) for a, b in ((x, y), (x, z), (y, z))]
    assert r[0] > 0.45 and abs(corr.partial(*r)) < 0.03
    assert np.isnan(corr.partial(1.0, 1.0, 0.5))


def test_statistics_with_and_without_the_work_at_hand() -> None:
    rng = np.random.default_rng(0)
    values, tokens = rng.random(300), rng.integers(1, 90, 300).astype(float)
    codes = rng.integers(-1, 3, 300).astype(np.int32)
    plain = dist.statistics(values, tokens, codes, ("a", "b", "c"))
    parts = dist.by_group(values, codes, 3)
    lengths = dist.by_group_and_all(tokens, codes, 3)
    pd.testing.assert_frame_equal(
        plain, dist.statistics(values, tokens, codes, ("a", "b", "c"), parts, lengths)
    )
    one = dist.statistics(values, tokens, np.zeros(300, np.int32), ("all rows",))
    assert one["group"].tolist() == ["all rows"] and one["tokens"].item() == np.median(tokens)


def test_t95_is_the_table_of_students_t() -> None:
    np.testing.assert_allclose(dist.t95(np.array([2, 12, 31])), [12.706, 2.201, 2.042], atol=1e-3)
    assert np.isnan(dist.t95(1)) and float(dist.t95(10**6)) == pytest.approx(dist.Z95, abs=1e-4)


@pytest.mark.parametrize("rho", [0.0, 0.5, -0.8])
def test_the_interval_of_spearman_holds_the_truth(rho: float) -> None:
    """Of normal pairs Spearman's is 6/pi * arcsin(rho/2): 19 of 20 intervals hold it."""
    rng = np.random.default_rng(4)
    truth = 6 / np.pi * np.arcsin(rho / 2)
    covered = 0
    for _ in range(400):
        x = rng.normal(size=80)
        y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=80)
        low, high = dist.spearman95(corr.spearman(x, y), 80)
        covered += low <= truth <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_intervals_of_few_pairs_and_of_perfect_order() -> None:
    assert np.isnan(dist.spearman95(0.5, 3)).all() and np.isnan(dist.spearman95(np.nan, 9)).all()
    low, high = dist.spearman95(1 - 1e-15, 4)
    assert low < -0.5 and high == 1, "one order of four in twenty-four"
    low, high = dist.spearman95(-1.0, 9)
    assert low == -1 and -0.95 < high < -0.85
    assert 0.9999 < dist.spearman95(1.0, 1000)[0] < dist.spearman95(1.0, 10**6)[0] <= 1


def test_outliers_press_no_bins_together() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.uniform(3, 97, 1000), [1e9, -1e9, np.nan]])
    edges = dist.quantile_bins(values, 8)
    assert 6 <= len(edges) <= 13 and edges[0] >= 0 and edges[-1] <= 100
    steps = np.diff(edges)
    assert np.allclose(steps, steps[0]) and float(f"{steps[0]:.1g}") == pytest.approx(steps[0])
    assert dist.quantile_bins(np.array([np.nan]), 8).tolist() == [0, 1]
    assert (np.diff(dist.quantile_bins(np.full(9, 7.0), 8)) > 0).all()


def test_a_trend_is_medians_with_intervals_that_hold() -> None:
    rng = np.random.default_rng(2)
    column = rng.integers(1, 6, 4000).astype(float)
    column[:3] = np.nan
    values = column * 2 + rng.normal(size=4000)
    line = dist.trend(column, values)
    assert line.x.tolist() == [1, 2, 3, 4, 5] and line.rows.sum() == 3997
    for x, median, low, high in zip(line.x, line.median, line.low, line.high, strict=True):
        assert low < median == np.median(values[column == x]) < high
    covered = 0
    for _ in range(300):
        once = dist.trend(np.zeros(30), rng.exponential(size=30))
        covered += bool(once.low[0] <= np.log(2) <= once.high[0])
    assert covered / 300 >= 0.92
    many = dist.trend(np.append(rng.uniform(0, 1, 3000), 1e6), rng.normal(size=3001))
    assert 8 <= len(many.x) <= 20 and many.x.max() < 2, "one outlier alone is no point"
    assert len(dist.trend(np.arange(4.0), np.arange(4.0)).x) == 0


def test_holm_by_hand() -> None:
    # 0.01 x 4; 0.02 x 3; then 0.03 x 2 is no less than what stands before; 0.8 x 1.
    assert dist.holm([0.03, 0.01, 0.8, 0.02]) == pytest.approx([0.06, 0.04, 0.8, 0.06])
    assert dist.holm([0.6, 0.6]) == pytest.approx([1.0, 1.0])
    assert len(dist.holm([])) == 0


def test_what_could_not_be_compared_is_no_comparison() -> None:
    adjusted = dist.holm([0.01, np.nan, 0.04])
    assert adjusted[0] == pytest.approx(0.02) and adjusted[2] == pytest.approx(0.04)
    assert np.isnan(adjusted[1])


def test_more_groups_than_a_short_number_can_count() -> None:
    groups = 40_000
    codes = np.arange(groups, dtype=np.int32)[::-1]
    parts = dist.by_group(np.arange(groups, dtype=float), codes, groups)
    assert [float(part[0]) for part in parts] == [groups - 1.0 - i for i in range(groups)]
