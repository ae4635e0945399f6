"""The Overview in Streamlit's test runner."""

from __future__ import annotations

from pathlib import Path

from circuitseer_core.signatures.catalogue import warnings
from tests.support.opened import open_page, synthetic, table, texts
from tests.support.synthetic import Shape


def test_four_numbers_and_three_steps(runs_home: Path) -> None:
    synthetic(runs_home, shape=Shape(rows=400))
    app = open_page("overview", "made")
    values = {m.label: m.value for m in app.metric}
    assert values["Reference model"] == "random-numbers"
    assert values["Heads used"] == "3 / 48"
    assert values["Samples scored"] == "400"
    assert values["Subset drawn"] == "40"
    for step in ("Detect heads", "Score samples", "Draw the subset"):
        assert step in texts(app)


def test_the_warnings_are_those_of_core_in_its_words(runs_home: Path) -> None:
    run = synthetic(runs_home)
    app = open_page("overview", "made")
    shown = texts(app)
    found = warnings(run)
    assert any(s.severity == "warn" for s in found)
    for signature in found:
        assert signature.title in shown
        assert signature.text in shown


def test_a_fresh_run_points_to_the_next_step(runs_home: Path) -> None:
    synthetic(runs_home, shape=Shape(detect_only=True))
    app = open_page("overview", "made")
    assert "Needs step 2." in texts(app)
    shown = table(app, "detect")
    assert shown["detect"].tolist()[0] == "Done"
    assert shown["score"].tolist()[0] == "Not started"
