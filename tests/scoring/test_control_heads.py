"""Random heads beside the reasoning heads: how many draws, on which rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from circuitseer_core.aliases import Head
from circuitseer_core.errors import UserError
from circuitseer_core.runs.columns import ATTENTION_SCORERS, DRAWS
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import ScoringRecord
from circuitseer_core.scoring.control_heads import (
    FIRST_DRAWS,
    FURTHER_LIMIT,
    LIMIT,
    beside_in_words,
    control_heads,
    control_share,
    draws_carried,
    require_enough,
)
from tests.support.detected_run import questions, write_rows
from tests.support.scorings import CONTROLS, go, settings, whole


def test_controls_only_for_a_subsample(run: Run, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "more.jsonl", questions(200))
    go(run, settings(data, controls=100, shard_rows=64))
    frame = run.scores()
    carrying = frame["control_variance_0"].notna()
    assert 20 <= carrying.sum() <= 100
    for name in CONTROLS:
        assert (frame[name].notna() == carrying).all()
    assert frame[list(ATTENTION_SCORERS)].notna().all().all()
    go(run, settings(data, name="all", shard_rows=64))
    everyone = run.scores("all")
    assert everyone["control_variance_0"].notna().all()
    same = everyone.loc[carrying.to_numpy(), CONTROLS]
    assert np.allclose(same, frame.loc[carrying, CONTROLS], rtol=1e-4)


def test_further_draws_on_a_smaller_subsample_inside_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_rows(tmp_path / "more.jsonl", questions(200))
    go(run, settings(data, name="all"))
    monkeypatch.setattr("circuitseer_core.scoring.score.FURTHER_LIMIT", 90)
    result = go(run, settings(data, controls=150, shard_rows=64))
    assert 0 < result.further_share < result.control_share < 1
    frame = run.scores()
    carried = frame[[f"control_variance_{draw}" for draw in range(DRAWS)]].notna()
    assert set(carried.sum(axis=1)) == {0, FIRST_DRAWS, DRAWS}
    assert carried["control_variance_0"].sum() <= 150 and carried["control_variance_3"].sum() <= 90
    everyone = run.scores("all")
    for name in CONTROLS:
        known = frame[name].notna().to_numpy()
        assert np.allclose(frame.loc[known, name], everyone.loc[known, name], rtol=1e-4)


def test_a_scoring_begun_with_three_draws_goes_on_with_three(
    run: Run, data: str, breaking: Callable[..., None]
) -> None:
    """As one that an earlier version began and did not finish."""
    before = go(run, settings(data))
    record = before.model_copy(deep=True)
    record.control_heads = record.control_heads[:FIRST_DRAWS]
    record = ScoringRecord(**(record.to_json() | {"state": "running"}))
    del record.further_share
    record.write(run.scores_dir("default") / "settings.json")
    again = go(run, settings(data))
    assert again.control_heads == before.control_heads[:FIRST_DRAWS] and again.state == "done"
    names = whole(run).column_names
    assert "control_variance_2" in names and "control_variance_3" not in names


def test_controls_come_from_the_same_layers() -> None:
    reasoning = [(1, 0), (1, 3), (4, 2)]
    draws = control_heads(reasoning, [8] * 6, seed=0)
    assert len(draws) == DRAWS and len({tuple(d) for d in draws}) > DRAWS / 2
    for draw in draws:
        assert sorted(layer for layer, _ in draw) == [1, 1, 4]
        assert not set(draw) & set(reasoning) and len(set(draw)) == 3
    assert control_heads(reasoning, [8] * 6, seed=0) == draws
    assert control_heads(reasoning, [8] * 6, seed=1) != draws


def test_a_full_layer_borrows_from_the_nearest_with_free_heads() -> None:
    reasoning = [(2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2), (3, 3)]
    for draw in control_heads(reasoning, [4, 4, 4, 4, 4], seed=5):
        layers = sorted(layer for layer, _ in draw)
        # Layer 2 has one free head for its own three, layer 3 none for its four.
        assert layers.count(2) == 1 and layers.count(3) == 0
        assert layers.count(4) == 4 and layers.count(1) == 2
        assert not set(draw) & set(reasoning) and len(set(draw)) == len(reasoning)


def test_where_the_model_runs_out_of_heads_draws_are_smaller() -> None:
    reasoning = [(0, 0), (0, 1), (1, 0)]
    assert control_heads(reasoning, [2, 2], seed=0) == [[(1, 1)]] * DRAWS
    assert control_heads([(0, 0)], [1], seed=0) == [[]] * DRAWS


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        ([(0, 0), (1, 1)], "as many random heads of the same layers"),
        ([(0, 0), (0, 1), (0, 2)], "(2 of them of other layers, where those have too few)"),
        ([(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)], "3 heads, all that the model has beside them,"),
    ],
)
def test_what_stands_beside_a_set_is_said_as_it_is(heads: list[Head], words: str) -> None:
    assert beside_in_words(heads, control_heads(heads, [4, 4], seed=0)).endswith(words)


def test_layers_without_attention_heads_lend_nothing() -> None:
    for draw in control_heads([(1, 0)], [0, 1, 0, 2], seed=0):
        assert draw[0][0] == 3


def test_the_control_subsample_stays_under_its_limit_and_belongs_to_the_ids() -> None:
    assert control_share(LIMIT) == 1.0 and (draws_carried(0, ["a", "b"], 1.0, 1.0) == DRAWS).all()
    ids = [f"x/{i}" for i in range(60_000)]
    share = control_share(len(ids))
    further = control_share(len(ids), FURTHER_LIMIT)
    carried = draws_carried(0, ids, share, further)
    assert 0.9 * LIMIT < (carried >= FIRST_DRAWS).sum() <= LIMIT
    assert 0.85 * FURTHER_LIMIT < (carried == DRAWS).sum() <= FURTHER_LIMIT
    assert np.array_equal(draws_carried(0, ids[::-1], share, further), carried[::-1])
    assert control_share(1000, limit=0) == 0.0


def test_so_few_rows_that_none_might_carry_controls_are_refused() -> None:
    assert control_share(1000, 20) == 0.0
    with pytest.raises(UserError, match="--controls 20: .*may leave none of so few: give 100"):
        require_enough(1000, 20)
    for rows, limit in ((1000, 0), (1000, 100), (20, 20), (5, 20)):
        require_enough(rows, limit)
