"""The arm by another scoring of the same rows, at the budget of the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.arms.build import build_arms
from circuitseer_core.arms.record import read_arms
from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.errors import UserError
from circuitseer_core.export.verify import verify
from circuitseer_core.runs.commands import checked
from circuitseer_core.runs.folder import Run
from tests.support.run_factory import make_rows, make_run, score_frame, write_scores


@pytest.fixture(scope="module")
def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Prompts, and the responses of the same rows in another order."""
    prompts = score_frame(make_rows(300))
    responses = prompts.sample(frac=1, random_state=1, ignore_index=True)
    responses["n_tokens"] = responses["n_tokens_full"] = responses["n_response_tokens"]
    responses["variance"] = np.random.default_rng(2).lognormal(0, 2, len(responses))
    return prompts, responses.drop(columns="n_response_tokens")


def _run(path: Path, prompts: pd.DataFrame, responses: pd.DataFrame) -> Run:
    run = make_run(path, frame=responses, name="response", text="response")
    write_scores(run, prompts)
    settings = (run.scores_dir("response") / "settings.json").read_text()
    settings = settings.replace('"text": "response"', '"text": "prompt"')
    (run.scores_dir("default") / "settings.json").write_text(settings)
    return run


def test_it_keeps_the_budget_in_tokens_of_both(
    tmp_path: Path, frames: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    run = _run(tmp_path / "run", *frames)
    wish = ArmsSettings(arms=("soft", "other-scoring"), other_scores="response", seeds=2)
    record = build_arms(run, tmp_path / "out", wish, show=False)
    assert read_arms(tmp_path / "out").settings.other_scores == "response"
    budget = record.budget["tokens"]
    tokens = frames[0].set_index("id")[["n_tokens", "n_response_tokens"]].sum(axis=1)
    drawn = [arm for arm in record.arms if arm.kind == "other-scoring"]
    assert [arm.seed for arm in drawn] == [0, 1]
    for arm in drawn:
        assert budget - 180 < arm.tokens <= budget  # one sample more would pass it
        ids = run.selection_ids(arm.selection)["id"]
        assert arm.tokens == tokens[ids].sum()
        own = frames[1].set_index("id")["variance"]
        assert own[ids].mean() > own.mean()
        assert verify(tmp_path / "out" / arm.file).ok


def test_a_budget_of_rows(tmp_path: Path, frames: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    run = _run(tmp_path / "run", *frames)
    wish = ArmsSettings(arms=("other-scoring",), other_scores="response", seeds=1, rows=17)
    record = build_arms(run, tmp_path / "out", wish, show=False)
    assert [arm.rows for arm in record.arms] == [17]


def test_a_few_responses_without_a_score(
    tmp_path: Path, frames: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    run = _run(tmp_path / "run", frames[0], frames[1].head(290))
    wish = ArmsSettings(arms=("uniform", "other-scoring"), other_scores="response", seeds=1)
    record = build_arms(run, tmp_path / "out", wish, show=False)
    assert (record.pool_rows, record.rows_without_other_score) == (300, 10)
    lacking = set(frames[0]["id"]) - set(frames[1].head(290)["id"])
    for arm in record.arms:
        assert verify(tmp_path / "out" / arm.file).ok
        if arm.kind == "other-scoring":
            assert not lacking & set(run.selection_ids(arm.selection)["id"])


@pytest.mark.parametrize(("prompts", "responses", "apart"), [(300, 280, 20), (299, 300, 1)])
@pytest.mark.parametrize("budget", [{"rows": 17}, {"tokens": 900}])
def test_other_rows_are_refused(
    tmp_path: Path,
    frames: tuple[pd.DataFrame, pd.DataFrame],
    prompts: int,
    responses: int,
    apart: int,
    budget: dict[str, int],
) -> None:
    run = _run(tmp_path / "run", frames[0].head(prompts), frames[1].head(responses))
    wish = ArmsSettings(arms=("other-scoring",), other_scores="response", **budget)
    with pytest.raises(UserError, match=f"{apart} rows? in one alone"):
        build_arms(run, tmp_path / "out", wish, show=False)


def test_it_needs_another_scoring(
    tmp_path: Path, frames: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    run = _run(tmp_path / "run", *frames)
    wish = ArmsSettings(arms=("other-scoring",))
    with pytest.raises(UserError, match="other-scoring: --other-scores"):
        build_arms(run, tmp_path / "out", wish, show=False)
    with pytest.raises(UserError, match="on trial itself"):
        checked(ArmsSettings, other_scores="default")
