"""Arms by a calibration and by another scoring of the same rows, at the budget of the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.arms.build import build_arms
from circuitseer_core.arms.record import ArmsRecord, read_arms
from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.calibration.calibrate import calibrate
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.errors import UserError
from circuitseer_core.export.verify import verify
from circuitseer_core.runs.columns import CALIBRATED
from circuitseer_core.runs.commands import checked
from circuitseer_core.runs.folder import Run
from tests.support.readings_run import readings_run
from tests.support.run_factory import make_rows, make_run, score_frame, write_scores


def _of(record: ArmsRecord, kind: str) -> list[str]:
    return [arm.label for arm in record.arms if arm.kind == kind]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a calibration applied."""
    run = readings_run(tmp_path_factory.mktemp("calibrated") / "run")
    few = CalibrateSettings(target="level", folds=4, repeats=1, permutations=20)
    calibrate(run, few, show=False)
    return run


@pytest.fixture(scope="module")
def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Prompts, and the responses of the same rows in another order."""
    prompts = score_frame(make_rows(300))
    responses = prompts.sample(frac=1, random_state=1, ignore_index=True)
    responses["n_tokens"] = responses["n_tokens_full"] = responses["n_response_tokens"]
    responses["variance"] = np.random.default_rng(2).lognormal(0, 2, len(responses))
    return prompts, responses.drop(columns="n_response_tokens")


class TestCalibrated:
    def test_it_stands_beside_the_draw_on_trial(self, run: Run, tmp_path: Path) -> None:
        wish = ArmsSettings(arms=("soft", "uniform", "calibrated"), seeds=2)
        record = build_arms(run, tmp_path / "out", wish, show=False)
        assert _of(record, "calibrated") == ["calibrated-s0", "calibrated-s1"]
        scores = run.scores("default", ["id", CALIBRATED]).set_index("id")[CALIBRATED]
        mean = {
            arm.label: float(scores[run.selection_ids(arm.selection)["id"]].mean())
            for arm in record.arms
        }
        assert mean["calibrated-s0"] > mean["uniform-s0"]
        assert mean["calibrated-s1"] > mean["uniform-s1"]
        for arm in record.arms:
            assert abs(arm.tokens - record.budget["tokens"]) < 180
            assert verify(tmp_path / "out" / arm.file).ok

    def test_it_can_be_on_trial_itself(self, run: Run, tmp_path: Path) -> None:
        wish = ArmsSettings(scorer=CALIBRATED, seeds=1)
        record = build_arms(run, tmp_path / "out", wish, show=False)
        kinds = {arm.kind for arm in record.arms}
        assert kinds == {
            "soft", "top-k", "bottom-k", "uniform", "length-matched", "longest", "full"
        }  # fmt: skip
        by = {arm.label: arm.mean_score for arm in record.arms}
        assert by["bottom-k"] < by["uniform-s0"] < by["soft-s0"] < by["top-k"]
        assert all(verify(tmp_path / "out" / arm.file).ok for arm in record.arms)


class TestOtherScoring:
    def _run(self, path: Path, prompts: pd.DataFrame, responses: pd.DataFrame) -> Run:
        run = make_run(path, frame=responses, name="response", text="response")
        write_scores(run, prompts)
        told = (run.scores_dir("response") / "settings.json").read_text()
        told = told.replace('"text": "response"', '"text": "prompt"')
        (run.scores_dir("default") / "settings.json").write_text(told)
        return run

    def test_it_keeps_the_budget_in_tokens_of_both(
        self, tmp_path: Path, frames: tuple[pd.DataFrame, pd.DataFrame]
    ) -> None:
        run = self._run(tmp_path / "run", *frames)
        wish = ArmsSettings(arms=("soft", "other-scoring"), other_scores="response", seeds=2)
        record = build_arms(run, tmp_path / "out", wish, show=False)
        assert read_arms(tmp_path / "out").settings["other_scores"] == "response"
        budget = record.budget["tokens"]
        tokens = frames[0].set_index("id")[["n_tokens", "n_response_tokens"]].sum(axis=1)
        for label in _of(record, "other-scoring"):
            arm = next(arm for arm in record.arms if arm.label == label)
            assert budget - 180 < arm.tokens <= budget  # one sample more would pass it
            ids = run.selection_ids(arm.selection)["id"]
            assert arm.tokens == tokens[ids].sum()
            own = frames[1].set_index("id")["variance"]
            assert own[ids].mean() > own.mean()
            assert verify(tmp_path / "out" / arm.file).ok

    def test_a_budget_of_rows(
        self, tmp_path: Path, frames: tuple[pd.DataFrame, pd.DataFrame]
    ) -> None:
        run = self._run(tmp_path / "run", *frames)
        wish = ArmsSettings(arms=("other-scoring",), other_scores="response", seeds=1, rows=17)
        record = build_arms(run, tmp_path / "out", wish, show=False)
        assert [arm.rows for arm in record.arms] == [17]

    def test_other_rows_are_refused(
        self, tmp_path: Path, frames: tuple[pd.DataFrame, pd.DataFrame]
    ) -> None:
        run = self._run(tmp_path / "run", frames[0], frames[1].head(290))
        wish = ArmsSettings(arms=("other-scoring",), other_scores="response")
        with pytest.raises(UserError, match="10 rows in one alone"):
            build_arms(run, tmp_path / "out", wish, show=False)
        wish = ArmsSettings(arms=("other-scoring",))
        with pytest.raises(UserError, match="other-scoring: --other-scores"):
            build_arms(run, tmp_path / "out", wish, show=False)
        with pytest.raises(UserError, match="on trial itself"):
            checked(ArmsSettings, other_scores="default")
