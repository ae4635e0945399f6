"""The Evidence page: what is known, what is open, running an experiment, checking a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.export.write import export
from circuitseer_core.runs import jobs
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.go_no_go import go_no_go
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.opened import into_view, open_page, second_scoring, settled, synthetic, texts
from tests.support.synthetic import Shape
from ui.evidence.verifying import checked
from ui.widgets.markdown import prose


@pytest.fixture
def run(runs_home: Path) -> Run:
    return synthetic(runs_home, shape=Shape(rows=200))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[list[str]]]:
    """The steps of every job that is asked for; none is started."""
    asked: list[list[list[str]]] = []
    monkeypatch.setattr(jobs, "start", lambda path, steps: asked.append(steps))
    return asked


def test_every_experiment_has_a_card(run: Run) -> None:
    EXPERIMENTS["complexity"].run(run, bootstraps=50)
    EXPERIMENTS["length"].run(run)
    EXPERIMENTS["length"].run(run, name="length-mine")
    select_run(run, SelectionSettings.of(name="new", fraction=0.2))
    page = open_page("evidence", "made")
    shown = texts(page)
    kept = EXPERIMENTS["complexity"].run(run, bootstraps=50)
    assert kept.title in shown
    assert kept.outcome is not None and kept.outcome.low is not None
    assert prose(kept.outcome.measured()[1:]) in shown
    assert [h.value for h in page.subheader][:2] == ["Answered", "Not asked yet"]
    cards = [*EXPERIMENTS, "length-mine"]
    assert {button.key for button in page.button} >= {f"run_{name}" for name in cards}
    assert "length-mine" in shown
    assert prose(go_no_go(run, run.selection("new")).reason) in shown


def test_a_result_of_before_figures_says_so(run: Run) -> None:
    EXPERIMENTS["length"].run(run)
    path = run.path / "experiments" / "length.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert "Kept before figures" not in texts(open_page("evidence", "made"))
    path.write_text(json.dumps(record | {"plots": [], "outcome": None}), encoding="utf-8")
    assert "Kept before figures were" in texts(open_page("evidence", "made"))


def test_a_result_without_an_outcome_says_whether_it_could_have_one(run: Run) -> None:
    EXPERIMENTS["temperature"].run(run, seeds=2)
    shown = texts(open_page("evidence", "made"))
    assert "judges nothing" in shown and "Kept without a verdict" not in shown
    EXPERIMENTS["length"].run(run)
    assert "Kept without a verdict" not in texts(open_page("evidence", "made"))
    path = run.path / "experiments" / "length.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(record | {"outcome": None}), encoding="utf-8")
    assert "Kept without a verdict" in texts(open_page("evidence", "made"))


def test_every_card_says_what_it_takes_or_what_it_needs(run: Run) -> None:
    page = open_page("evidence", "made")
    captions = [caption.value for caption in page.caption]
    asked = [text.value for text in page.markdown if text.value.endswith("?**")]
    assert len(asked) == len(EXPERIMENTS)
    assert not [question for question in asked if "needs" in question or "--" in question]
    assert not [line for line in captions if "time not known" in line]
    for name in ("heads", "joint-ablation", "sinks", "ablation-method"):
        seconds = EXPERIMENTS[name].estimated_seconds(run)
        assert seconds is not None and seconds > 0
    loads = [line for line in captions if "about" in line and "loads the model" in line]
    assert len(loads) == 4
    assert any("arms=FOLDER" in line.replace("\\", "") for line in captions), "training"
    assert any("at least two domains" in line for line in captions), "domains"


def test_a_click_starts_the_experiment_with_its_options(
    run: Run, started: list[list[list[str]]]
) -> None:
    page = open_page("evidence", "made")
    page.text_input(key=f"option_length_count_{run.path}").set_value("<<")
    page.button(key="run_length").click()
    settled(page.run())
    assert started == [[["validate", "--run", str(run.path), "length", "--set", "count=<<"]]]
    page.text_input(key=f"option_stability_splits_{run.path}").set_value("many")
    page.button(key="run_stability").click()
    settled(page.run())
    assert len(started) == 1
    assert "option splits" in page.error[0].value


def test_options_typed_for_one_run_are_not_those_of_another(
    run: Run, runs_home: Path, started: list[list[list[str]]]
) -> None:
    other = synthetic(runs_home, "other", Shape(rows=200))
    page = open_page("evidence", "made")
    page.text_input(key=f"option_length_count_{run.path}").set_value("<<").run()
    into_view(page, "other")
    page.button(key="run_length").click()
    settled(page.run())
    assert started == [[["validate", "--run", str(other.path), "length"]]]


def test_report_and_experiments_are_of_the_scoring_in_view(
    run: Run, monkeypatch: pytest.MonkeyPatch, started: list[list[list[str]]]
) -> None:
    EXPERIMENTS["length"].run(run)
    second_scoring(run)
    asked: list[str | None] = []
    monkeypatch.setattr(
        "ui.evidence.running.render", lambda run, scoring=None: asked.append(scoring) or ""
    )
    kept: list[Callable[[], object]] = []
    original = st.download_button

    def button(*args: object, data: Callable[[], object], **more: object) -> object:
        kept.append(data)
        return original(*args, data=data, **more)

    monkeypatch.setattr("ui.evidence.running.st.download_button", button)
    page = open_page("evidence", "made", scoring="answers")
    assert kept[-1]() == "" and asked == ["answers"]
    shown = texts(page)
    assert "of the scoring “default”" in shown, "the verdict that is there"
    assert "of the scoring “answers”" in shown, "the question that is open"
    page.button(key="run_length_answers").click()
    settled(page.run())
    step = ["validate", "--run", str(run.path)]
    assert [*step, "length", "--set", "scores=answers"] in started[-1]
    page.button(key="run_all").click()
    settled(page.run())
    assert started[-1][0][-1] == "scores=answers" and started[-1][0][3] == "all"


def test_any_two_runs_can_be_compared(
    run: Run, runs_home: Path, started: list[list[list[str]]]
) -> None:
    other = synthetic(runs_home, "other", Shape(rows=200))
    page = open_page("evidence", "made")
    choice = page.selectbox(key=f"option_transfer_other_{run.path}")
    assert str(other.path) in choice.options
    choice.select(str(other.path))
    page.button(key="run_transfer").click()
    settled(page.run())
    asked = ["validate", "--run", str(run.path), "transfer", "--set", f"other={other.path}"]
    assert started == [[asked]]
    assert "Spearman of variance" in EXPERIMENTS["transfer"].run(run, other=str(other.path)).verdict


def test_a_run_is_chosen_for_experiments_that_compare_runs_alone(run: Run) -> None:
    page = open_page("evidence", "made")
    assert str(run.path) in page.selectbox(key=f"option_transfer_other_{run.path}").options
    several = page.multiselect(key=f"option_probes_others_{run.path}")
    assert str(run.path) in several.options
    typed = {field.key for field in page.text_input}
    assert f"option_heads_other_{run.path}" in typed, "DATA without reasoning, not a run"


def test_an_uploaded_export_is_checked(run: Run, tmp_path: Path) -> None:
    select_run(run, SelectionSettings.of(name="new", fraction=0.2))
    done = export(run, "new", tmp_path / "new.jsonl")

    def file(path: Path, change: bytes = b"") -> SimpleNamespace:
        return SimpleNamespace(name=path.name, getvalue=lambda: path.read_bytes() + change)

    data, manifest = Path(done.path), Path(done.manifest)
    assert checked(run, [file(data), file(manifest)]).ok
    assert not checked(run, [file(data, b"{}\n"), file(manifest)]).ok
    for name in ("long" * 80, "half\ud800"):
        files = [file(data), file(manifest)]
        files[0].name, files[1].name = f"{name}.jsonl", f"{name}.jsonl.manifest.json"
        assert checked(run, files).ok
    with pytest.raises(UserError, match="one exported file and the .manifest.json"):
        checked(run, [file(data)])
