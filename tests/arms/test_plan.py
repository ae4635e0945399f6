"""Which arms there are and what each draws by; that by a calibration beside the others."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from circuitseer_core.arms.build import build_arms
from circuitseer_core.arms.record import read_arms
from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.calibration.calibrate import calibrate
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.errors import UserError
from circuitseer_core.export.verify import verify
from circuitseer_core.runs.columns import CALIBRATED, control_column
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.stage import occupied
from circuitseer_core.runs.training_records import draw_of, kind_of_draw
from tests.support.readings_run import readings_run
from tests.support.run_factory import make_rows, make_run, score_frame


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


def test_a_run_that_another_process_has_is_left_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", frame=score_frame(make_rows(20)))
    with occupied(run), pytest.raises(UserError, match="is at work"):
        build_arms(run, tmp_path / "out", ArmsSettings(seeds=1), show=False)
    assert not run.selections() and not (tmp_path / "out").exists()


def _with_controls(rows: int, known: dict[int, int]) -> pd.DataFrame:
    """A pool whose draws of random heads scored so many of its rows."""
    frame = score_frame(make_rows(rows))
    for draw, have in known.items():
        frame[control_column("variance", draw)] = frame["variance"].where(frame.index < have)
    return frame


def test_random_heads_are_drawn_by_columns_that_all_rows_have(tmp_path: Path) -> None:
    frame = _with_controls(200, {0: 200, 1: 195, 2: 30, 3: 30})
    run = make_run(tmp_path / "run", frame=frame)
    wish = ArmsSettings(arms=("uniform", "random-heads"), seeds=4)
    record = build_arms(run, tmp_path / "out", wish, show=False)
    drawn = [arm.selection for arm in record.arms if arm.kind == "random-heads"]
    scorers = [run.selection(name).settings.scorer for name in drawn]
    assert scorers == [control_column("variance", draw) for draw in (0, 1, 0, 1)]


def test_no_arm_of_random_heads_from_a_part_of_the_pool(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", frame=_with_controls(200, {0: 60, 1: 30}))
    with pytest.raises(UserError, match="no columns for the arms random-heads"):
        build_arms(run, tmp_path / "o", ArmsSettings(arms=("random-heads",)), show=False)
    record = build_arms(run, tmp_path / "out", ArmsSettings(seeds=1), show=False)
    assert "random-heads" not in {arm.kind for arm in record.arms}
    (note,) = record.notes
    assert note == (
        "no arm random-heads: random heads scored 60 of the pool's 200 rows (score --controls "
        "N has them score more)"
    )


def test_rows_without_a_response_are_no_part_of_any_arm(tmp_path: Path) -> None:
    frame = score_frame(make_rows(200))
    silent = frame.index % 4 == 0
    frame["n_response_tokens"] = frame["n_response_tokens"].astype("Int32").mask(silent)
    frame.loc[silent, "response"] = None
    run = make_run(tmp_path / "run", frame=frame)
    wish = ArmsSettings(arms=("soft", "uniform", "full"), seeds=1, rows=40)
    record = build_arms(run, tmp_path / "out", wish, show=False)
    assert record.pool_rows == 150
    for arm in record.arms:
        lines = (tmp_path / "out" / arm.file).read_text().splitlines()
        assert len(lines) == arm.rows == (150 if arm.kind == "full" else 40)


def test_length_is_taken_out_of_the_score_on_trial_and_those_in_its_place(tmp_path: Path) -> None:
    frame = _with_controls(400, {0: 400})
    frame["variance"] = frame["n_tokens"] ** 2.0 + frame["random"]
    frame["head_influence"] = 1 + frame["random"]
    run = make_run(tmp_path / "run", frame=frame)
    wish = ArmsSettings(seeds=1, length_control="within-bins")
    record = build_arms(run, tmp_path / "out", wish, show=False)
    assert read_arms(tmp_path / "out").settings.length_control == "within-bins"
    controlled = {
        arm.kind
        for arm in record.arms
        if run.selection(arm.selection).settings.length_control == "within-bins"
    }
    assert controlled == {"soft", "top-k", "bottom-k", "random-heads"}
    by = {arm.kind: arm for arm in record.arms}
    assert by["soft"].meaning == "drawn in proportion to the score, length taken out"
    assert by["uniform"].meaning == "drawn uniformly"
    assert by["soft"].mean_tokens < 0.8 * by["longest"].mean_tokens
    assert by["top-k"].mean_tokens < 0.8 * by["longest"].mean_tokens, "else they are nearly those"
    soft = run.selection(by["soft"].selection)
    assert draw_of(soft) == kind_of_draw("default", "variance", 1.0, "within-bins")
    assert all(verify(tmp_path / "out" / arm.file).ok for arm in record.arms)


def test_length_stays_in_by_default(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", frame=_with_controls(200, {0: 200}))
    record = build_arms(run, tmp_path / "out", ArmsSettings(seeds=1), show=False)
    drawn = [run.selection(arm.selection) for arm in record.arms]
    assert {one.settings.length_control for one in drawn} == {"none"}
    soft = next(one for one in drawn if one.settings.name == "arm.soft-s0")
    assert draw_of(soft) == kind_of_draw("default", "variance", 1.0)
    assert not any("length taken out" in arm.meaning for arm in record.arms)
