"""A draw is told from its rivals where the scores know more, and not where they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from circuitseer_core import limits
from circuitseer_core.errors import UserError
from circuitseer_core.runs.selection_records import Distinctness
from circuitseer_core.selection.distinct import distinctness
from circuitseer_core.selection.draw import Drawing, draw
from circuitseer_core.selection.pool import Pool
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.sift import Rules

N = 800
RNG = np.random.default_rng(0)
LENGTH = RNG.integers(10, 300, N)
QUALITY = np.exp(2 * RNG.normal(size=N))


def _drawing(score: np.ndarray, costs: np.ndarray = LENGTH, **settings: Any) -> Drawing:
    pool = Pool(
        ids=[f"a/{i}" for i in range(N)],
        names=("a", "b"),
        source=(np.arange(N) % 2).astype(np.int64),
        score=score.astype(float),
        length=LENGTH.astype(float),
        tokens=costs,
    )
    budget = {} if "tokens" in settings else {"fraction": 0.1}
    return draw(pool, SelectionSettings.of(**budget | settings), Rules())


def rivals_of(score: np.ndarray, controls: list[np.ndarray], **settings: Any) -> Distinctness:
    return distinctness(_drawing(score, **settings), controls, seeds=8)


def _is_distinct(rival: Any) -> bool:
    return limits.told_apart(rival.gap, rival.low, rival.high) == "yes"


class TestTold:
    def test_scores_of_their_own_are_told_from_both(self) -> None:
        others = [RNG.permutation(QUALITY) for _ in range(3)]
        rivals = rivals_of(QUALITY, others)
        assert rivals.heads is not None and rivals.heads.draws == 3
        assert _is_distinct(rivals.length)
        assert _is_distinct(rivals.heads)
        assert rivals.length.lift is not None and rivals.length.lift > 1

    def test_length_alone_is_not_told_from_rows_of_its_lengths(self) -> None:
        rivals = rivals_of(LENGTH**3.0, [LENGTH**3.0] * 2)
        assert not _is_distinct(rivals.length)
        assert rivals.length.own == pytest.approx(rivals.length.other, abs=0.03)

    def test_random_heads_that_score_alike_are_not_told(self) -> None:
        noise = [QUALITY * np.exp(0.05 * RNG.normal(size=N)) for _ in range(3)]
        rivals = rivals_of(QUALITY, noise)
        assert rivals.heads is not None
        assert not _is_distinct(rivals.heads)
        assert _is_distinct(rivals.length)

    def test_one_source_is_seen_to_move(self) -> None:
        rivals = rivals_of(np.where(np.arange(N) % 2 == 0, 100.0, 1.0), [])
        assert rivals.heads is None
        assert rivals.length.sources_moved > 0.3


def test_controls_on_a_part_of_the_rows() -> None:
    control = np.where(np.arange(N) < 300, RNG.permutation(QUALITY), np.nan)
    rivals = rivals_of(QUALITY, [control, control])
    assert rivals.heads is not None
    assert rivals.heads.own > 0.2


def test_a_budget_that_a_part_of_the_pool_cannot_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = _drawing(QUALITY, np.full(N, 1_000), tokens=2_500)
    monkeypatch.setattr("circuitseer_core.selection.distinct.PART", N // 3)
    with pytest.raises(UserError, match="too few for the budget"):
        distinctness(drawing, [], seeds=4)


@pytest.mark.parametrize(
    "settings", [{"temperature": 0}, {"stratify": "equal"}, {"length_control": "within-bins"}]
)
def test_the_draws_limits_hold_for_its_rivals(settings: dict[str, Any]) -> None:
    rivals = rivals_of(QUALITY, [RNG.permutation(QUALITY)], **settings)
    assert rivals.heads is not None
    assert rivals.heads.own > rivals.heads.other
    if settings.get("stratify") == "equal":
        assert rivals.heads.sources_moved == 0
