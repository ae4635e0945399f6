"""The Calibrate page: without readings, before a fit, and with one; its map on Heads."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from circuitseer_core.calibration.calibrate import calibrate
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.runs import jobs
from circuitseer_core.runs.folder import Run
from tests.support.opened import open_page, settled, synthetic, texts
from tests.support.readings_run import readings_run
from tests.support.synthetic import Shape


@pytest.fixture
def run(runs_home: Path) -> Run:
    runs_home.mkdir(parents=True, exist_ok=True)
    run = readings_run(runs_home / "made")
    heads = [{"layer": layer, "head": head} for layer in range(2) for head in range(4)]
    frame = pd.DataFrame(heads).assign(importance=0.1, stderr=0.01, n=8, raced_out=False)
    frame.assign(rank=range(1, 9), below_noise=False).to_parquet(run.heads_path)
    return run


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


def test_a_fit_is_told_with_its_answer_first(run: Run) -> None:
    few = {"target": "level", "folds": 4, "repeats": 1, "permutations": 20}
    record = calibrate(run, CalibrateSettings(**few), show=False)
    page = open_page("calibrate", "made")
    assert page.success[0].value.startswith("Yes\\: the heads tell something of level")
    assert "Permuted targets give" in texts(page)
    assert "Which heads carry it" in [h.value for h in page.subheader]
    assert len(record.heads) == 8
    heads = open_page("heads", "made")
    assert "Tells difficulty" in heads.button_group(key="map_value").options
