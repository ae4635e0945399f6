"""The arm by a calibration, beside the draw on trial and on trial itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.arms.build import build_arms
from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.calibration.calibrate import calibrate
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.export.verify import verify
from circuitseer_core.runs.columns import CALIBRATED
from circuitseer_core.runs.folder import Run
from tests.support.readings_run import readings_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a calibration applied."""
    run = readings_run(tmp_path_factory.mktemp("calibrated") / "run")
    few = CalibrateSettings(target="level", folds=4, repeats=1, permutations=20)
    calibrate(run, few, show=False)
    return run


def test_it_stands_beside_the_draw_on_trial(run: Run, tmp_path: Path) -> None:
    wish = ArmsSettings(arms=("soft", "uniform", "calibrated"), seeds=2)
    record = build_arms(run, tmp_path / "out", wish, show=False)
    assert [arm.label for arm in record.arms if arm.kind == "calibrated"] == [
        "calibrated-s0",
        "calibrated-s1",
    ]
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


def test_it_can_be_on_trial_itself(run: Run, tmp_path: Path) -> None:
    wish = ArmsSettings(scorer=CALIBRATED, seeds=1)
    record = build_arms(run, tmp_path / "out", wish, show=False)
    kinds = {arm.kind for arm in record.arms}
    assert kinds == {
        "soft", "top-k", "bottom-k", "uniform", "length-matched", "longest", "full"
    }  # fmt: skip
    by = {arm.label: arm.mean_score for arm in record.arms}
    assert by["bottom-k"] < by["uniform-s0"] < by["soft-s0"] < by["top-k"]
    assert all(verify(tmp_path / "out" / arm.file).ok for arm in record.arms)
