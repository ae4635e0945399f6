"""The Calibrate page: without readings, before a fit, and with one; its map on Heads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from circuitseer_core.calibration.calibrate import calibrate
from circuitseer_core.calibration.names import HEADS, WITHIN
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.runs import jobs
from circuitseer_core.runs.folder import DEMO_RUN, Run
from circuitseer_core.wording import signed
from tests.support.opened import open_page, settled, synthetic, texts
from tests.support.readings_run import give_readings, readings, readings_run
from tests.support.synthetic import Shape
from ui.shell import BUNDLED

FEW = {"target": "level", "folds": 4, "repeats": 1, "permutations": 20}


@pytest.fixture
def run(runs_home: Path) -> Run:
    runs_home.mkdir(parents=True, exist_ok=True)
    return readings_run(runs_home / "made")


def test_without_readings_it_says_how_to_get_them(runs_home: Path) -> None:
    synthetic(runs_home, shape=Shape(rows=60))
    page = open_page("calibrate", "made")
    assert "--head-features" in page.info[0].value


def test_a_click_starts_the_fit_that_is_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[list[str]]] = []
    monkeypatch.setattr(jobs, "start", lambda path, steps: started.append(steps))
    page = open_page("calibrate", "made")
    assert {"level", "variance", "verdicts"} <= set(page.selectbox(key="calibrate_target").options)
    page.number_input(key="calibrate_heads").set_value(3)
    page.selectbox(key="calibrate_target").select("level")
    page.button(key="calibrate_start").click()
    settled(page.run())
    (words,) = started[0]
    assert words[:5] == ["calibrate", "--run", str(run.path), "--target", "level"]
    assert words[-2:] == ["--heads-at-most", "3"] and "level-3" in words
    kept = run.calibration_dir("level-3") / "calibration.json"
    kept.parent.mkdir(parents=True)
    kept.write_text("{}")  # the name is taken: the button asks, and only its answer replaces
    settled(page.run())
    assert not [b for b in page.button if b.key == "calibrate_start"] and len(started) == 1
    settled(page.button(key="calibrate_anew").click().run())
    assert started[1] == [[*words, "--replace"]]


def test_a_fit_is_told_with_its_answer_first(run: Run) -> None:
    record = calibrate(run, CalibrateSettings(**FEW), show=False)
    page = open_page("calibrate", "made")
    assert page.success[0].value.startswith("Yes\\: the heads tell something of level")
    assert "Permuted targets give" in texts(page)
    assert "Which heads carry it" in [h.value for h in page.subheader]
    assert len(record.heads) == 8


def test_a_no_is_a_warning_and_heads_has_a_third_map(runs_home: Path) -> None:
    made = synthetic(runs_home, shape=Shape(rows=160, sources=1))
    tokens = made.scores("default", ["n_tokens"])["n_tokens"].to_numpy(dtype=float)
    give_readings(made, readings(160, tokens, seed=1))
    calibrate(made, CalibrateSettings(**FEW), show=False)
    assert open_page("calibrate", "made").warning[0].value.startswith("No\\: the heads tell")
    heads = open_page("heads", "made")
    assert "map_value" in [b.key for b in heads.button_group]
    settled(heads.segmented_control(key="map_value").set_value("Tells difficulty").run())
    assert "Weights of a calibration" in texts(heads)


def test_a_scorer_of_an_earlier_fit_is_not_called_this_fits(run: Run) -> None:
    calibrate(run, CalibrateSettings(**FEW), show=False)
    name = run.calibrations()[0]
    shown = texts(open_page("calibrate", "made"))
    assert "Its scorer `calibrated` is in" in shown
    path = run.scores_dir() / "settings.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["calibration"] = {"name": name, "sha256": "0" * 64}
    path.write_text(json.dumps(record), encoding="utf-8")
    shown = texts(open_page("calibrate", "made"))
    assert "Its scorer `calibrated` is in" not in shown and "of an earlier fit" in shown


@pytest.mark.skipif(not (DEMO_RUN / "run.json").is_file(), reason="no bundled run in this tree")
def test_the_figure_begins_with_what_the_answer_goes_by(runs_home: Path) -> None:
    page = open_page("calibrate", BUNDLED)
    assert page.session_state["calibration_judged"] == WITHIN
    record = Run.open(DEMO_RUN).calibration("steps")
    heads = record.estimate(HEADS, WITHIN)
    assert heads is not None and heads.value is not None
    assert signed(heads.value, 2) in record.verdict[0]
