"""The sentence says no more than was measured."""

from __future__ import annotations

from typing import Any

import pytest

from circuitseer_core.json_io import read_json
from circuitseer_core.runs.experiment_records import ExperimentRecord, Outcome, State, kind_of_draw
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.selection_records import Distinctness, Rival, SelectionRecord
from circuitseer_core.selection.go_no_go import go_no_go
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.run_factory import make_run

FAR = Rival(own=0.2, other=0.12, gap=0.08, low=0.06, high=0.1, draws=3, lift=0.3)
NEAR = Rival(own=0.12, other=0.119, gap=0.001, low=0.0005, high=0.0015, draws=3)


@pytest.fixture
def run(tmp_path: Any) -> Run:
    return make_run(tmp_path / "run")


def _trained(run: Run, state: State, draw: dict[str, Any] | None = None) -> None:
    outcome = Outcome(state=state, measure="loss gained", estimate=0.02, low=0.01, high=0.03)
    (run.path / "experiments").mkdir(exist_ok=True)
    ExperimentRecord(
        name="training", title="?", verdict=".", finished="2026-01-01", outcome=outcome,
        numbers={"draw": draw},
    ).write(run.path / "experiments" / "training.json")  # fmt: skip


def _selection(run: Run, length: Rival, heads: Rival | None) -> SelectionRecord:
    record = select_run(run, SelectionSettings.of(name="x", fraction=0.2))
    record.distinct = Distinctness(seeds=12, rows=100, length=length, heads=heads)
    return record


@pytest.mark.parametrize(
    ("length", "heads", "trained", "decision"),
    [
        (FAR, FAR, "found", "go"),
        (FAR, FAR, None, "open"),
        (FAR, FAR, "inconclusive", "open"),
        (FAR, FAR, "no evidence", "no-go"),
        (FAR, NEAR, "found", "no-go"),
        (NEAR, FAR, None, "no-go"),
        (FAR, None, "found", "open"),
    ],
)
def test_go_needs_all_three(
    run: Run, length: Rival, heads: Rival | None, trained: State | None, decision: str
) -> None:
    if trained:
        _trained(run, trained)
    answer = go_no_go(run, _selection(run, length, heads))
    assert answer.decision == decision
    assert answer.sentence.startswith(decision.capitalize() + ": this draw is ")


@pytest.mark.parametrize(
    ("scorer", "temperature", "settings", "decision"),
    [
        ("variance", 1.0, {}, "go"),
        ("focus", 1.0, {}, "open"),
        ("variance", 0.5, {}, "open"),
        ("variance", 1.0, {"length_control": "within-bins"}, "open"),
        ("variance", 1.0, {"lowest": True}, "open"),
    ],
)
def test_a_study_of_another_draw_says_nothing_of_this_one(
    run: Run, scorer: str, temperature: float, settings: dict[str, Any], decision: str
) -> None:
    _trained(run, "found", kind_of_draw("default", scorer, temperature))
    record = select_run(run, SelectionSettings.of(name="x", fraction=0.2, **settings))
    record.distinct = Distinctness(seeds=12, rows=100, length=FAR, heads=FAR)
    answer = go_no_go(run, record)
    assert answer.decision == decision
    assert ("no training study of such a draw" in answer.sentence) == (decision == "open")


def test_the_sentence_names_intervals_and_what_is_unknown(run: Run) -> None:
    sentence = go_no_go(run, _selection(run, FAR, NEAR)).sentence
    assert (
        "distinguishable from a length-matched random one (a second draw shares 20.0 %" in sentence
    )
    assert "gap +8.0, 95 % interval +6.0 to +10.0 points; mean score 30.0 % higher" in sentence
    assert "not distinguishable from what random heads" in sentence
    assert "is unknown (no training study of such a draw)" in sentence
    _trained(run, "found")
    trained = go_no_go(run, _selection(run, FAR, FAR)).sentence
    assert "loss gained +0.0200, 95 % interval +0.0100 to +0.0300" in trained


def test_a_selection_keeps_what_was_measured(run: Run) -> None:
    record = select_run(run, SelectionSettings.of(name="kept", fraction=0.2))
    assert record.distinct is not None and record.distinct.heads is None  # no controls here
    kept = read_json(run.selection_dir("kept") / "selection.json")
    assert kept["distinct"]["length"]["gap"] == record.distinct.length.gap
    older = record.model_copy(update={"distinct": None})
    assert "draw it again" in go_no_go(run, older).sentence


def test_a_gap_of_nothing_has_no_sign(run: Run) -> None:
    level = Rival(own=0.1201, other=0.1203, gap=-0.0002, low=-0.004, high=0.0003, draws=3)
    sentence = go_no_go(run, _selection(run, level, None)).sentence
    assert "gap 0.0, 95 % interval −0.4 to 0.0 points" in sentence
