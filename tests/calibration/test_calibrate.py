"""``calibrate`` from run to verdict: a planted effect is found, and no effect is called none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.calibration.calibrate import calibrate
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs.calibration_records import CalibrationRecord
from circuitseer_core.runs.columns import CALIBRATED
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection import review
from circuitseer_core.stages import run_calibration
from tests.support.readings_run import HEADS, PLANTED, readings_run
from tests.support.run_factory import make_run

FEW = {"folds": 4, "repeats": 1, "permutations": 20}


def fitted(run: Run, **settings: Any) -> CalibrationRecord:
    return calibrate(run, CalibrateSettings(**({"target": "level"} | FEW | settings)), show=False)


def test_a_planted_effect_is_found_and_written(tmp_path: Path) -> None:
    run = readings_run(tmp_path / "run")
    record = fitted(run)
    assert CalibrationRecord.read(run.calibration_dir("default") / "calibration.json") == record
    heads = record.estimate("heads")
    assert heads is not None and heads.value is not None and heads.low is not None
    assert heads.value > 0.4 and heads.low > 0.2
    assert record.verdict[0].startswith("Yes: the heads tell something of level")
    assert {e.name for e in record.estimates} >= {
        *("heads", "reasoning heads", "random heads", "words", "surface", "rest"),
        *("words + heads", "rest + heads", "variance", "focus", "heads: first", "source"),
    }
    assert record.chance is not None and record.chance.draws == 20 and record.chance.p < 0.1
    assert abs(record.chance.mean) < 0.15
    assert record.target.levels == [f"Level {n}" for n in range(1, 6)]
    assert [fit.fold for fit in record.fits] == [0, 1, 2, 3]
    predictions = pd.read_parquet(run.calibration_dir("default") / "predictions.parquet")
    assert len(predictions) == 160 and {"target", "fold", "heads", "words"} <= set(predictions)
    assert CALIBRATED in run.scoring().scorers


def test_no_effect_is_a_no(tmp_path: Path) -> None:
    record = fitted(readings_run(tmp_path / "run", strength=0.0, seed=3))
    heads = record.estimate("heads")
    assert heads is not None and heads.low is not None and heads.low <= 0
    assert record.verdict[0].startswith("No: the heads tell nothing of level")
    assert "No gain can be told when the heads are added to a bag of words" in " ".join(
        record.verdict
    )


def test_sources_by_themselves_and_by_the_others(tmp_path: Path) -> None:
    record = fitted(readings_run(tmp_path / "run", count=260))
    lines = {(e.name, e.judged, e.source) for e in record.estimates}
    for judged in ("own", "other"):
        assert {("heads", judged, s) for s in ("gsm", "aqua")} <= lines
    assert ("heads", "within", None) in lines and ("heads", "other", None) in lines
    text = " ".join(record.verdict)
    assert "Within sources it holds" in text and "Fitted to the others only" in text


def test_sources_can_be_taken_out(tmp_path: Path) -> None:
    record = fitted(readings_run(tmp_path / "run", count=260), within_sources=True)
    assert "at fixed length and source" in record.verdict[0]
    assert not any(e.name == "source" for e in record.estimates)


def test_a_sparse_fit_names_the_heads_that_carry_it(tmp_path: Path) -> None:
    run = readings_run(tmp_path / "run", count=240, strength=2.0)
    record = fitted(run, heads_at_most=2, families=("first", "focus"))
    assert all(len(fit.columns) <= 2 for fit in record.fits)
    top = record.heads[:2]
    assert {(share.layer, share.head) for share in top} == set(PLANTED)
    assert all(share.folds == 1.0 and share.weight > 0 for share in top)
    assert record.heads_needed == sorted(PLANTED)


def test_the_same_settings_give_the_same_fit(tmp_path: Path) -> None:
    run = readings_run(tmp_path / "run")
    one, two = fitted(run), fitted(run, name="again")
    assert one.fits == two.fits and one.estimates == two.estimates


def test_rows_without_readings_take_no_part_and_get_no_scorer(tmp_path: Path) -> None:
    run = readings_run(tmp_path / "run", share=0.75)
    assert fitted(run).target.rows == 120
    assert CALIBRATED not in run.scoring().scorers


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": None}, "say what to fit"),
        ({"target": "nothing"}, "no column 'nothing'"),
        ({"target": "truncated"}, "no column 'truncated'"),
        ({"scores": "other"}, "no scores named 'other'"),
        ({"target": "verdicts"}, "0 pairs .* at least 40"),
    ],
)
def test_what_cannot_be_fitted_is_said(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    run = readings_run(tmp_path / "run", count=70)
    with pytest.raises(UserError, match=message):
        fitted(run, **settings)
    assert run.calibrations() == []


def test_too_few_rows_and_no_readings_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="40 rows have a target .* at least 60"):
        fitted(readings_run(tmp_path / "few", count=40))
    with pytest.raises(UserError, match="has no head readings: .*--head-features"):
        fitted(make_run(tmp_path / "none"))


def judged_by_eye(run: Run, pairs: int, sure: bool) -> None:
    """Verdicts that follow the data's level, or a coin."""
    frame = run.scores("default", ["id"]).assign(
        level=[json.loads(text)["level"] for part in run.score_parts() for text in originals(part)]
    )
    rng = np.random.default_rng(4)
    while pairs:
        one, two = frame.sample(2, random_state=int(rng.integers(1 << 30))).to_dict("records")
        if one["level"] == two["level"]:
            continue
        harder = one["level"] > two["level"] if sure else bool(rng.integers(2))
        choice = "left" if harder else "right"
        entry = {"kind": "verdict", "left": one["id"], "right": two["id"], "choice": choice}
        review.append(run.path, entry)
        pairs -= 1


def originals(part: Path) -> list[str]:
    return pd.read_parquet(part, columns=["original"])["original"].tolist()


def test_verdicts_of_the_blind_review_are_fitted(tmp_path: Path) -> None:
    run = readings_run(tmp_path / "run", count=160, strength=3.0)
    judged_by_eye(run, 90, sure=True)
    record = fitted(run, target="verdicts", families=("first", "focus"))
    heads = record.estimate("heads", "pairs")
    assert heads is not None and heads.value is not None and heads.value > 0.7
    assert record.target.pairs == 90 and record.verdict[0].startswith("Yes:")
    assert CALIBRATED in run.scoring().scorers


def test_a_coins_verdicts_are_a_no(tmp_path: Path) -> None:
    run = readings_run(tmp_path / "run", count=160)
    judged_by_eye(run, 60, sure=False)
    record = fitted(run, target="verdicts", families=("first",))
    assert record.verdict[0].startswith("No: the heads tell nothing of the verdicts")


def test_another_fit_of_a_name_is_asked_for(tmp_path: Path) -> None:
    """Other settings are refused before the fit, another target under the same settings after it;
    the same fit again, and one in place of a broken record, are no question."""
    run = readings_run(tmp_path / "run", count=80)
    settings = CalibrateSettings(target="level", **FEW)
    first = run_calibration(run.path, settings, show=False)
    assert run_calibration(run.path, settings, show=False).whole == first.whole
    sparse = settings.model_copy(update={"heads_at_most": 2, "families": ("first",)})
    with pytest.raises(UserError, match=r"other settings \(heads-at-most, family\): --replace"):
        run_calibration(run.path, sparse, show=False)
    record = run.calibration_dir("default") / "calibration.json"
    of_before = json.loads(record.read_text())
    of_before["target"]["sha256"] = "0" * 64
    record.write_text(json.dumps(of_before))
    with pytest.raises(UserError, match="before the values of 'level' have changed: --replace"):
        run_calibration(run.path, settings, show=False)
    assert json.loads(record.read_text()) == of_before
    assert run_calibration(run.path, sparse, show=False, replace=True).settings.heads_at_most == 2
    record.write_text("{")
    run_calibration(run.path, settings, show=False)


def test_the_api_fits_and_applies(tmp_path: Path) -> None:
    run = readings_run(tmp_path / "run", count=80)
    settings = CalibrateSettings(target="level", **FEW)
    assert run_calibration(run.path, settings, show=False).target.rows == 80
    run_calibration(run.path, CalibrateSettings(apply="default"), show=False)
    assert [c.stage for c in Run.open(run.path).record.commands][-2:] == ["calibrate"] * 2
    assert len(HEADS) == 8
