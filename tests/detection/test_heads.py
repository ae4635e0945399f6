"""Head statistics against hand-made tables."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control
from scipy.stats import t as student

from circuitseer_core.detection import head_stability, racing
from circuitseer_core.detection import heads as stats
from circuitseer_core.errors import UserError


def table(delta: np.ndarray, set_name: str = "probe") -> pd.DataFrame:
    """(samples, layers, heads) to the importance table."""
    at = np.indices(delta.shape).reshape(3, -1)
    return pd.DataFrame(
        {
            "id": [f"{set_name}{i}" for i in at[0]],
            "set": set_name,
            "layer": at[1],
            "head": at[2],
            "delta_loss": delta.ravel(),
        }
    )


def probe_of(n: int, set_name: str = "probe", loss: float = 2.0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"{set_name}{i}" for i in range(n)],
            "set": set_name,
            "source": [f"src{i % 2}" for i in range(n)],
            "base_loss": loss,
        }
    )


@pytest.fixture
def effects() -> np.ndarray:
    rng = np.random.default_rng(0)
    delta = rng.normal(0, 0.01, (8, 4, 5))
    delta[:, 2, 3] += 1.0
    delta[:, 0, 1] += 0.5
    return delta


@pytest.mark.parametrize(
    ("share", "n", "count"),
    [("0.05", 280, 14), (0.05, 280, 14), ("0.05", 270, 14), ("0.05", 336, 17), ("0.01", 4, 1),
     ("0.07", 100, 7), ("1.0", 9, 9)],
)  # fmt: skip
def test_counts_are_exact_decimal_ceilings(share: str, n: int, count: int) -> None:
    assert stats.head_count(share, n) == count


def test_head_table(effects: np.ndarray) -> None:
    heads = stats.head_table(table(effects), probe_of(8), None, 0.005)
    best = heads.sort_values("rank").iloc[0]
    assert (best["layer"], best["head"]) == (2, 3)
    column = effects[:, 2, 3]
    assert best["importance"] == pytest.approx(column.mean())
    assert best["stderr"] == pytest.approx(column.std(ddof=1) / np.sqrt(8))
    threshold = 2 * 0.005 / np.sqrt(8)
    assert (heads["below_noise"] == (heads["importance"].abs() <= threshold)).all()
    assert heads["below_noise"].any() and not best["below_noise"]


def test_raced_out_heads_rank_last(effects: np.ndarray) -> None:
    field = {(0, 0), (0, 1)}
    heads = stats.head_table(table(effects), probe_of(8), field, 0.0)
    assert heads.loc[~heads["raced_out"], "rank"].max() == 2
    with pytest.raises(UserError, match="mode exact"):
        stats.select_heads(heads, "3")
    assert stats.select_heads(heads, "1") == [(0, 1)]


def test_rules(effects: np.ndarray, tmp_path: object) -> None:
    heads = stats.head_table(table(effects), probe_of(8), None, 0.0)
    assert stats.select_heads(heads, "0.05") == [(2, 3)]
    assert stats.select_heads(heads, "2") == [(2, 3), (0, 1)]
    assert stats.select_heads(heads, "0.1,3.4") == [(0, 1), (3, 4)]
    assert stats.select_heads(heads, "2.3") == [(2, 3)]
    bounded = stats.select_heads(heads, "lcb")
    above = heads[heads["importance"] - student.ppf(0.975, 7) * heads["stderr"] > 0]
    assert len(bounded) == len(above) and bounded[:2] == [(2, 3), (0, 1)]
    assert stats.lcb_by_chance(heads) == 0.5
    wanted = false_discovery_control(student.sf(heads["importance"] / heads["stderr"], 7)) <= 0.05
    assert set(stats.select_heads(heads, "bh")) == set(
        heads.loc[wanted, ["layer", "head"]].itertuples(index=False, name=None)
    )
    for bad in ("0", "-1", "21", "0.0", "x", "9.9", "1.2.3,", "nan", "-inf", "²", "².1", "1.²,"):
        with pytest.raises(UserError):
            stats.select_heads(heads, bad)
    with pytest.raises(UserError, match="contrast"):
        stats.select_heads(heads, "0.05", "specificity")


def test_bootstrap_membership(effects: np.ndarray) -> None:
    deltas = effects.reshape(len(effects), -1)  # (samples, 4 layers x 5 heads)
    member = head_stability.bootstrap_membership_of(deltas, 2, n_boot=300, seed=1)
    assert member[2 * 5 + 3] == member[0 * 5 + 1] == 1.0
    assert member.sum() == pytest.approx(2.0)
    again = head_stability.bootstrap_membership_of(deltas, 2, n_boot=300, seed=1)
    assert again.tolist() == member.tolist()


def test_per_source_and_agreement(effects: np.ndarray) -> None:
    effects = effects.copy()
    effects[1::2, 3, 0] += 2.0
    by_source = head_stability.per_source(table(effects), probe_of(8))
    maps = by_source.set_index(["source", "layer", "head"])["importance"]
    assert maps[("src1", 3, 0)] == pytest.approx(effects[1::2, 3, 0].mean())
    assert maps[("src0", 3, 0)] == pytest.approx(effects[0::2, 3, 0].mean())
    pair = head_stability.source_agreement(by_source, 2).iloc[0]
    assert pair["shared"] == 1 and pair["overlap"] == 0.5
    assert (pair["n_a"], pair["n_b"], pair["chance"]) == (4, 4, 2 / 20)
    measured = [(3, 0), (2, 3), (0, 1), (1, 1)]
    among = head_stability.source_agreement(by_source, 2, measured).iloc[0]
    assert among["chance"] == 2 / 4 and among["spearman"] != pair["spearman"]
    assert head_stability.source_agreement(by_source, 99, measured).iloc[0]["overlap"] == 1.0


def test_specificity_is_the_difference_of_ratio_estimators(effects: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    other = rng.normal(0, 0.01, (8, 4, 5))
    other[:, 2, 3] += 3.0  # needed by any text: important, not specific
    importance = pd.concat([table(effects), table(other, "contrast")])
    probe = pd.concat([probe_of(8, loss=2.0), probe_of(8, "contrast", loss=4.0)])
    probe["base_loss"] += rng.uniform(0, 1, len(probe))
    heads = stats.head_table(importance, probe, None, 0.0)
    row = heads[(heads["layer"] == 2) & (heads["head"] == 3)].iloc[0]
    losses = [probe.loc[probe["set"] == s, "base_loss"].to_numpy() for s in ("probe", "contrast")]
    ratios = [effects[:, 2, 3].mean() / losses[0].mean(), other[:, 2, 3].mean() / losses[1].mean()]
    assert row["specificity"] == pytest.approx(ratios[0] - ratios[1])
    residuals = [
        (d[:, 2, 3] - r * clean).std(ddof=1) / (clean.mean() * np.sqrt(8))
        for d, r, clean in zip((effects, other), ratios, losses, strict=True)
    ]
    assert row["specificity_stderr"] == pytest.approx(np.hypot(*residuals))
    assert row["rank"] == 1
    assert stats.select_heads(heads, "1", "specificity") == [(0, 1)]


def test_without_any_effect_bh_takes_no_head_and_lcb_as_many_as_chance() -> None:
    passed = {"lcb": 0, "bh": 0}
    rng = np.random.default_rng(7)
    for _ in range(20):
        heads = stats.head_table(table(rng.standard_normal((8, 10, 20))), probe_of(8), None, 0.0)
        for rule in passed:
            passed[rule] += _kept(heads, rule)
    assert passed["bh"] <= 4  # of 20 maps at 5 %
    assert passed["lcb"] == pytest.approx(20 * stats.lcb_by_chance(heads), rel=0.35)  # 100 ± 10


def test_a_race_chooses_by_the_samples_that_are_tested_and_bh_stays_within_its_bound() -> None:
    """Heads without any effect, of which the race's own schedule leaves the highest."""
    rng = np.random.default_rng(3)
    wrong, passed = 0, []
    for _ in range(40):
        delta = rng.standard_normal((64, 10, 20))
        flat, left = delta.reshape(64, -1), np.arange(200)
        rounds = racing.schedule(64, 200, 10)
        for before, after in pairwise(rounds):
            left = left[racing.survivors(flat[: before.samples, left].mean(0), after.keep)]
        field = {divmod(int(i), 20) for i in left}
        heads = stats.head_table(table(delta), probe_of(64), field, None)
        passed.append(_kept(heads, "lcb"))
        wrong += _kept(heads, "bh") > 0
    assert wrong <= 5, "of 40 at 5 %; among the 20 finalists alone it would be a fourth of them"
    assert stats.raced(heads)
    measured = 0.025 * len(left)
    assert 2 * measured < np.mean(passed) <= stats.lcb_by_chance(heads) == 5.0


def _kept(heads: pd.DataFrame, rule: str) -> int:
    """How many pass; a UserError says that none does."""
    try:
        return len(stats.select_heads(heads, rule))
    except UserError:
        return 0
