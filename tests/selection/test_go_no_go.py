"""The sentence says no more than was measured."""

from __future__ import annotations

from typing import Any

import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.json_io import read_json
from circuitseer_core.runs.experiment_records import ExperimentRecord, Outcome, State
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.selection_records import Distinctness, Rival, SelectionRecord
from circuitseer_core.runs.training_records import kind_of_draw, run_name
from circuitseer_core.selection.go_no_go import go_no_go
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.run_factory import make_run

FAR = Rival(own=0.2, other=0.12, gap=0.08, low=0.06, high=0.1, draws=3, lift=0.3)
NEAR = Rival(own=0.12, other=0.119, gap=0.001, low=0.0005, high=0.0015, draws=3)


@pytest.fixture
def run(tmp_path: Any) -> Run:
    return make_run(tmp_path / "run")


WIDE = Rival(own=0.2, other=0.15, gap=0.05, low=-0.03, high=0.13, draws=3)
SMALL = Rival(own=0.2, other=0.193, gap=0.007, low=0.0033, high=0.0106, draws=3)


def _trained(run: Run, state: State, draw: Any = None, numbers: Any = None) -> None:
    outcome = Outcome(state=state, measure="loss gained", estimate=0.02, low=0.01, high=0.03)
    (run.path / "experiments").mkdir(exist_ok=True)
    of_run = {"reference": "uniform", "draw": draw, "run": run_name(run)}
    ExperimentRecord(
        name="training", title="?", verdict=".", finished="2026-01-01", outcome=outcome,
        numbers=of_run | (numbers or {}),
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
        (WIDE, FAR, "found", "open"),
        (FAR, SMALL, "found", "open"),
        (WIDE, NEAR, None, "no-go"),
    ],
)
def test_go_needs_all_three(
    run: Run, length: Rival, heads: Rival | None, trained: State | None, decision: str
) -> None:
    if trained:
        _trained(run, trained)
    answer = go_no_go(run, _selection(run, length, heads))
    assert answer.decision == decision
    assert answer.sentence.startswith(decision.capitalize() + ": this draw ")


@pytest.mark.parametrize(
    ("rival", "words"),
    [
        (FAR, "this draw is distinguishable from a length-matched random one (a second"),
        (WIDE, "this draw may or may not be distinguishable from a length-matched random one ("),
        (
            SMALL,
            "this draw differs from a length-matched random one, but whether by a point is open (",
        ),
        (NEAR, "this draw differs by less than a point from a length-matched random one ("),
        (
            NEAR.model_copy(update={"low": -0.001}),
            "this draw is not distinguishable from a length-matched random one (",
        ),
    ],
)
def test_the_words_say_what_the_interval_does(run: Run, rival: Rival, words: str) -> None:
    assert words in go_no_go(run, _selection(run, rival, FAR)).sentence


@pytest.mark.parametrize(
    ("numbers", "decision"),
    [
        ({}, "go"),
        ({"reference": "top-k"}, "open"),
        ({"reference": None}, "open"),
        ({"run": "/another/run"}, "open"),
        ({"run": "/as/it/was", "arms": "soft"}, "go"),
        ({"run": None, "arms": "other"}, "open"),
    ],
)
def test_only_a_study_of_this_runs_arms_against_uniform_counts(
    run: Run, numbers: dict[str, Any], decision: str
) -> None:
    record = _selection(run, FAR, FAR)
    if "arms" in numbers:
        ids_hash = record.ids_hash if numbers["arms"] == "soft" else "0" * 16
        arm = {"kind": "soft", "selection": "x", "sha256": ids_hash, "rows": 7}
        numbers = numbers | {"arms": [arm, {"kind": "uniform", "rows": 9}]}
    _trained(run, "found", numbers=numbers)
    answer = go_no_go(run, record)
    assert answer.decision == decision
    assert ("draws of 7 rows, this one has 40)" in answer.sentence) == (
        decision == "go" and "arms" in numbers
    )


def test_why_there_are_no_rivals_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def below_zero(drawing: Any, controls: list[Any], **how: Any) -> Distinctness:
        if controls:
            raise UserError("a score is below 0")
        return Distinctness(seeds=12, rows=100, length=FAR)

    monkeypatch.setattr("circuitseer_core.selection.go_no_go.distinctness", below_zero)
    monkeypatch.setattr(
        "circuitseer_core.selection.go_no_go.control_columns", lambda scorer, have: ["focus"]
    )
    sentence = go_no_go(run, select_run(run, SelectionSettings.of(name="x"))).sentence
    assert "was not compared with what random heads of the same layers would draw (a score is" in (
        sentence
    )

    def nothing(*args: Any, **how: Any) -> Distinctness:
        raise UserError("the rows are too few")

    monkeypatch.setattr("circuitseer_core.selection.go_no_go.distinctness", nothing)
    sentence = go_no_go(run, select_run(run, SelectionSettings.of(name="x"))).sentence
    assert sentence.startswith(
        "Open: no rivals of this draw could be drawn to compare it with (the"
    )


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


def test_a_study_of_draws_with_length_taken_out_speaks_of_these_alone(run: Run) -> None:
    _trained(run, "found", kind_of_draw("default", "variance", 1.0, "within-bins"))
    for control, decision in (("within-bins", "go"), ("none", "open")):
        record = select_run(
            run, SelectionSettings.of(name=control, fraction=0.2, length_control=control)
        )
        record.distinct = Distinctness(seeds=12, rows=100, length=FAR, heads=FAR)
        assert go_no_go(run, record).decision == decision


def test_the_sentence_names_intervals_and_what_is_unknown(run: Run) -> None:
    sentence = go_no_go(run, _selection(run, FAR, NEAR)).sentence
    assert (
        "distinguishable from a length-matched random one (a second draw shares 20.0 %" in sentence
    )
    assert "gap +8.0, 95 % interval +6.0 to +10.0 points; mean score 30.0 % higher" in sentence
    assert "differs by less than a point from what random heads" in sentence
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
