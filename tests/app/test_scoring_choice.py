"""Another scoring of a run: chosen once, kept in the URL, shown and drawn from on every page."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.opened import (
    APP,
    open_page,
    second_scoring,
    settled,
    synthetic,
    table,
    texts,
)
from tests.support.synthetic import Shape
from ui.widgets.markdown import literal, prose


@pytest.fixture
def run(runs_home: Path) -> Run:
    run = synthetic(runs_home, shape=Shape(rows=300))
    second_scoring(run)
    return run


def test_the_choice_is_in_the_url_and_goes_with_the_run(run: Run, runs_home: Path) -> None:
    synthetic(runs_home, "plain", Shape(rows=60))
    app = AppTest.from_file(str(APP), default_timeout=240)
    app.query_params["run"] = "made"
    settled(app.run())
    assert "scoring" not in app.query_params
    settled(app.sidebar.selectbox(key="scoring_choice").set_value("answers").run())
    assert app.query_params["scoring"] == "answers"
    app = AppTest.from_file(str(APP), default_timeout=240)
    app.query_params["run"], app.query_params["scoring"] = "made", "answers"
    settled(app.run())
    assert app.sidebar.selectbox(key="scoring_choice").value == "answers"
    settled(app.sidebar.selectbox(key="run_choice").set_value("plain").run())
    assert app.query_params["run"] == "plain" and "scoring" not in app.query_params


def test_an_unknown_scoring_in_the_link_is_said(run: Run) -> None:
    app = AppTest.from_file(str(APP), default_timeout=240)
    app.query_params["run"], app.query_params["scoring"] = "made", "gone"
    settled(app.run())
    assert any("gone" in toast.value for toast in app.toast)
    assert "scoring" not in app.query_params


def test_pages_show_and_draw_from_the_scoring_in_view(run: Run) -> None:
    best = {}
    for name in ("default", "answers"):
        frame = run.scores(name, ["id", "variance"])
        best[name] = frame.sort_values("variance")["id"].iloc[-1]
    assert best["default"] != best["answers"]
    for name, sample in best.items():
        page = open_page("export", "made", scoring=name)
        settled(page.button(key="dial_top-k").click().run())
        assert table(page, "rank")["id"].iloc[0] == sample
    page.session_state["draw_command"] = True
    assert "--scores answers" in settled(page.run()).code[0].value
    assert literal(best["answers"]) in texts(open_page("samples", "made", scoring="answers"))
    assert "scores “answers”" in texts(open_page("heads", "made", scoring="answers"))
    tiles = open_page("overview", "made", scoring="answers").metric
    assert next(t.value for t in tiles if t.label == "Heads used").startswith("1 /")


def test_two_scorings_are_compared(run: Run) -> None:
    page = open_page("sources", "made", sources_view="Two scorings")
    assert "300 samples in both" in texts(page)
    shared = table(page, "noise").set_index("draw")
    assert list(shared.index) == ["Top-k", "Soft, τ = 1"]
    assert shared.loc["Top-k", "chance"] == "10.0 %"


def test_one_scoring_alone_says_how_to_make_another(runs_home: Path) -> None:
    synthetic(runs_home, shape=Shape(rows=60))
    page = open_page("sources", "made", sources_view="Two scorings")
    assert "scored once" in texts(page)


def test_the_overview_tells_of_what_is_drawn_from_the_scores_in_view(run: Run) -> None:
    drawn = SelectionSettings.of(name="seven", scores="answers", count=7, temperature="inf")
    select_run(run, drawn)
    first = open_page("overview", "made")
    numbers = {one.label: one.value for one in first.metric}
    assert "“seven”" not in texts(first) and numbers["Subset drawn"] != "7"
    page = open_page("overview", "made", scoring="answers")
    assert {one.label: one.value for one in page.metric}["Subset drawn"] == "7"
    assert prose("of which 7 are drawn at τ = ∞") in texts(page)
    assert "“seven”: 7 samples" in texts(page) and "Selection seven" in texts(page)
