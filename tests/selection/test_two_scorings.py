"""Two scorings: matched by id, and compared against what shared noise does by itself."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from circuitseer_core import correlation
from circuitseer_core.errors import UserError
from circuitseer_core.selection import two_scorings
from circuitseer_core.selection.two_scorings import agreement, matched

IDS = pa.array([f"s{i}" for i in range(400)])


def test_samples_are_matched_by_id_whatever_their_order() -> None:
    one, other = np.arange(400.0), np.arange(400.0) * 2
    one[3], other[5] = np.nan, np.nan
    turned = pa.array(IDS.to_pylist()[::-1])
    pair = matched(IDS, one, turned, other[::-1])
    assert len(pair.ids) == 398 and not {"s3", "s5"} & set(pair.ids)
    assert np.array_equal(pair.other, 2 * pair.one)
    assert [f"s{row}" for row in pair.rows] == list(pair.ids)
    assert np.array_equal(matched(IDS, one, IDS, other).ids, pair.ids)


def test_too_few_common_samples_are_one_line() -> None:
    strangers = pa.array([f"t{i}" for i in range(400)])
    with pytest.raises(UserError, match="0 samples in common"):
        matched(IDS, np.ones(400), strangers, np.ones(400))


def test_alike_scores_share_their_draws_and_unlike_ones_their_noise() -> None:
    rng = np.random.default_rng(1)
    score = rng.gamma(2.0, 1.0, 400)
    same = agreement(matched(IDS, score, IDS, score * 1.5), 0.1, (0.0, 1.0))
    assert (same.rank.rho, same.low, same.high) == pytest.approx((1.0, 1.0, 1.0))
    assert [d.shared for d in same.draws] == [1.0, 1.0] and same.draws[0].beyond_noise
    apart = agreement(matched(IDS, score, IDS, rng.gamma(2.0, 1.0, 400)), 0.1, (0.0, 1.0))
    assert apart.low < 0 < apart.high and apart.chance == 0.1
    top, soft = apart.draws
    assert not top.beyond_noise and not soft.beyond_noise
    assert soft.shared > 0.3 > top.shared  # shared noise alone
    assert abs(soft.shared - soft.floor.permuted) < 4 * soft.floor.permuted_sd + 0.05


def test_scores_below_zero_have_no_soft_draw() -> None:
    score = np.linspace(-1, 1, 400)
    seen = agreement(matched(IDS, score, IDS, score), 0.1, (0.0, 1.0))
    assert [d.temperature for d in seen.draws] == [0.0]


def test_many_samples_are_compared_on_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_scorings, "RANKED_ROWS", 100)
    monkeypatch.setattr(correlation, "RANKED_ROWS", 100)
    score = np.random.default_rng(2).gamma(2.0, 1.0, 400)
    seen = agreement(matched(IDS, score, IDS, score[::-1].copy()), 0.1, (0.0,))
    assert seen.rank.sampled and 60 < seen.rows < 140
    rho = stats.spearmanr(score, score[::-1]).statistic
    assert seen.low < rho < seen.high
