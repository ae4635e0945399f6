"""Comparison arms on the Evidence page: drawn as a job, listed, handed out, given to a study."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from circuitseer_core.arms.build import build_arms
from circuitseer_core.arms.record import arms_archive
from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.runs import jobs
from circuitseer_core.runs.folder import Run
from tests.support.opened import open_page, settled, synthetic, texts
from tests.support.synthetic import Shape
from ui.widgets.markdown import literal


@pytest.fixture
def run(runs_home: Path) -> Run:
    return synthetic(runs_home, shape=Shape(rows=120))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[list[str]]]:
    """The commands of every job that the page would start."""
    steps: list[list[list[str]]] = []
    monkeypatch.setattr(jobs, "start", lambda path, commands: steps.append(commands))
    return steps


def test_arms_are_asked_for_listed_and_given_to_a_study(
    run: Run, started: list[list[list[str]]]
) -> None:
    page = open_page("evidence", "made")
    page.number_input(key="arms_share").set_value(20.0)
    page.multiselect(key="arms_kinds").set_value(["uniform", "soft"])
    page.number_input(key="arms_seeds").set_value(1)
    page.button(key="arms").click()
    settled(page.run())
    words = ["--arms", "soft", "--arms", "uniform", "--share", "0.2", "--seeds", "1"]
    assert started == [[["arms", "--run", str(run.path), *words, "--out", "default"]]]

    folder = run.path / "arms" / "default"
    build_arms(run, folder, ArmsSettings(share=0.2, arms=("soft", "uniform"), seeds=1), show=False)
    page = open_page("evidence", "made")
    assert literal("default: 2 arms of") in texts(page)
    assert page.text_input(key=f"arms_name_{run.path}").value == "default-2", "a free name"
    page.text_input(key=f"arms_name_{run.path}").set_value("default")
    page.button(key="arms").click()
    settled(page.run())
    assert len(started) == 1, "nothing is written over"
    assert "arms named default already" in page.error[0].value
    assert str(folder) in page.selectbox(key=f"option_training_arms_{run.path}").options
    names = ZipFile(BytesIO(arms_archive(folder))).namelist()
    assert {"arms.json", "summary.csv", "soft-s0.jsonl", "soft-s0.jsonl.manifest.json"} <= {*names}


def test_the_draw_on_trial_may_be_at_fixed_length_and_of_any_temperature_and_budget(
    run: Run, started: list[list[list[str]]]
) -> None:
    page = open_page("evidence", "made")
    page.select_slider(key="arms_temperature").set_value(0.5)
    page.toggle(key="arms_length_control").set_value(True)
    words = ["--temperature", "0.5", "--length-control", "within-bins"]
    for unit, key, value in (("Rows", "arms_rows", 20), ("Tokens", "arms_tokens", 900)):
        page.segmented_control(key="arms_budget").set_value(unit)
        settled(page.run())
        page.number_input(key=key).set_value(value)
        page.button(key="arms").click()
        settled(page.run())
        asked = started.pop()[0]
        assert asked[3:7] == words
        assert asked[7:] == [f"--{unit.lower()}", str(value), "--out", "default"]

    wish = ArmsSettings(
        rows=20, arms=("soft", "uniform"), seeds=1, temperature=0.5, length_control="within-bins"
    )
    build_arms(run, run.path / "arms" / "default", wish, show=False)
    shown = texts(open_page("evidence", "made"))
    assert literal("by variance of the scoring “default” at τ = 0.5, length out, ") in shown
    assert literal("default: 2 arms of 20 rows") in shown


def test_a_damaged_set_takes_nothing_with_it(run: Run) -> None:
    for name, text in (("cut", '{"format": 1,'), ("other", '{"format": 1}')):
        folder = run.path / "arms" / name
        folder.mkdir(parents=True)
        (folder / "arms.json").write_text(text)
    page = open_page("evidence", "made")
    assert not page.exception
    shown = texts(page)
    assert "cut/arms.json" in shown and "other/arms.json" in shown
    assert page.button(key="arms")
