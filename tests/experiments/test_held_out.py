"""Samples beside the probe: neither its candidates nor copies of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from circuitseer_core.data.fields import FieldOptions, Fields
from circuitseer_core.detection.probe import probe_table
from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.experiments.head_answers import answered
from circuitseer_core.experiments.heads import Options
from circuitseer_core.experiments.held_out import (
    beside_probe,
    left_out_words,
    of_data,
    run_model,
)
from circuitseer_core.model import loading
from circuitseer_core.model.loading import load_run_model
from circuitseer_core.runs.folder import Run
from circuitseer_core.training import study as training_study
from tests.support.detected_run import detected_run, write_rows
from tests.support.records import edit_run
from tests.support.study_arms import write_arms


def test_copies_of_what_is_left_out_are_left_out(tmp_path: Path) -> None:
    run = detected_run(tmp_path)
    reference = load_run_model(run.model, run.model.dtype, "cpu")
    asked = ["1 + 1?", "what is 2 + 2?", "3 + 3?", " What is 2 + 2? ", "3 + 3?"]
    rows = [{"id": i, "question": text, "answer": "4"} for i, text in enumerate(asked)]
    data = [f"s={write_rows(tmp_path / 'some.jsonl', rows)}"]

    def left(*without: str) -> set[str]:
        samples = of_data(run, reference, data, limit=9, seed=0, without=frozenset(without))
        return {sample.id for sample in samples}

    assert left() == {f"s/{i}" for i in range(5)}
    assert left("s/1") == {"s/0", "s/2", "s/4"}, "s/3 asks the same"
    assert left("s/0", "s/1", "s/2") == set()


def test_it_is_read_as_the_probe_was(tmp_path: Path) -> None:
    run = detected_run(tmp_path)
    named = {"template": "plain", "probe_data": {"fields": {"prompt": "body", "response": "key"}}}
    edit_run(run, detect=named)
    reference = load_run_model(run.model, run.model.dtype, "cpu")
    rows = [{"id": 1, "body": "what is 2 + 2?", "key": "4"}]
    [sample] = of_data(run, reference, [write_rows(tmp_path / "d.jsonl", rows)], limit=9, seed=0)
    assert sample.id == "d/1"


def test_columns_that_are_named_win_over_the_probes(tmp_path: Path) -> None:
    run = detected_run(tmp_path)
    named = {"template": "plain", "probe_data": {"fields": {"prompt": "body", "response": "key"}}}
    edit_run(run, detect=named)
    reference = load_run_model(run.model, run.model.dtype, "cpu")
    rows = [{"body": "no", "key": "no", "Frage": "what is 2 + 2?", "Summe": "4", "nr": 7}]
    data = [write_rows(tmp_path / "d.jsonl", rows)]
    asked = Fields(prompt="Frage", response="Summe", id="nr")
    (sample,), _ = beside_probe(run, reference, data, limit=9, seed=0, asked=asked)
    assert (sample.id, "2 + 2" in sample.text) == ("d/7", True)


def takes_data() -> list[str]:
    return [name for name, one in EXPERIMENTS.items() if one.takes("data") or one.takes("heldout")]


@pytest.mark.parametrize("name", takes_data())
def test_experiments_take_the_columns_that_score_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A wrong column is told before a model is loaded, a right one is read."""
    run = detected_run(tmp_path)
    fields = EXPERIMENTS[name].fields()
    assert list(fields)[-5:] == list(FieldOptions.model_fields)
    path = write_rows(tmp_path / "d.jsonl", [{"Frage": "1 + 1?", "Summe": "2"}])
    write_arms(tmp_path / "arms", {"uniform-s0": [("2 + 2?", "4")]})
    options: dict[str, Any] = {"data": f"a={path},b={path}"}
    if name == "training":
        options = {"heldout": path, "arms": str(tmp_path / "arms"), "seeds": 1}
    monkeypatch.setattr(loading, "load_model", never)
    monkeypatch.setattr(training_study, "load_model", never)
    for wrong, message in (
        ({}, r"no prompt field recognised.*\(name it with --set prompt_field\)"),
        ({"prompt_field": "frag"}, r"no field 'frag'.*\(--set prompt_field=Frage\?\)"),
    ):
        with pytest.raises(UserError, match=message):
            EXPERIMENTS[name].run(run, **options, **wrong)
    with pytest.raises(AssertionError, match="a model was loaded"):
        EXPERIMENTS[name].run(run, **options, prompt_field="Frage", response_field="Summe")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("heads", {"data": "{none}"}),
        ("heads", {"data": "demo", "other": "{none}"}),
        ("domains", {"data": "{none},{none}"}),
        ("joint-ablation", {"data": "{none}"}),
        ("ablation-method", {"data": "{none}"}),
    ],
)
def test_a_mistyped_path_costs_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, str]
) -> None:
    run = detected_run(tmp_path)
    monkeypatch.setattr(loading, "load_model", never)
    asked = {key: value.format(none=tmp_path / "none.jsonl") for key, value in options.items()}
    with pytest.raises(UserError, match=r"no such file or folder: .*none\.jsonl"):
        EXPERIMENTS[name].run(run, **asked)


def test_more_tokens_than_positions_are_refused_before_the_weights_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = detected_run(tmp_path)
    monkeypatch.setattr(loading.AutoModelForCausalLM, "from_pretrained", never)
    with pytest.raises(UserError, match="99999 is more than the model's"):
        run_model(run, "run", "cpu", data=(), max_tokens=99_999)


def test_problems_without_a_readable_answer_do_not_count_as_asked(tmp_path: Path) -> None:
    run = detected_run(tmp_path)
    reference = load_run_model(run.model, run.model.dtype, "cpu")
    rows = [
        {"id": i, "question": f"what is {i} + 1?", "answer": "no idea" if i % 4 else f"#### {i}"}
        for i in range(16)
    ]
    data = write_rows(tmp_path / "d.jsonl", rows)
    options = Options.of(answers="3", answer_data=data, draws=2, max_new_tokens=1)
    answers = answered(run, reference, [], [(0, 0)], options)
    assert answers is not None and answers["asked"] == 3
    silent = write_rows(tmp_path / "s.jsonl", [row | {"answer": "no idea"} for row in rows])
    for further in ({"answer_data": silent}, {"max_tokens": 2}):
        asked = Options.of(**{"answers": 3, "answer_data": data, "draws": 2} | further)
        with pytest.raises(UserError, match="no sample can serve: (no readable|longer than 2)"):
            answered(run, reference, [], [(0, 0)], asked)


def never(*_: Any, **__: Any) -> None:
    raise AssertionError("a model was loaded")


def test_the_probes_own_samples_are_left_out_of_other_data_and_counted(tmp_path: Path) -> None:
    run = detected_run(tmp_path)
    reference = load_run_model(run.model, run.model.dtype, "cpu")
    asked = [{"id": i, "question": f"{i} + {i}?", "answer": "4"} for i in range(3)]
    data = f"p={write_rows(tmp_path / 'probe.jsonl', asked)}"
    edit_run(run, detect={"template": "plain", "settings": {"probe": [data]}})
    probe = of_data(run, reference, [data], limit=2, seed=0)
    probe_table(probe, [1.0, 1.0], "probe").to_parquet(run.probe_path)
    run = Run.open(run.path)
    in_probe = [int(sample.id.removeprefix("p/")) for sample in probe]
    rows = [{"id": 9 - i, "question": f" {i} +  {i}?", "answer": "4"} for i in in_probe]
    copies = f"copy={write_rows(tmp_path / 'copy.jsonl', rows)}"
    new = f"new={write_rows(tmp_path / 'new.jsonl', [{'question': '9 + 9?', 'answer': '18'}])}"
    samples, left_out = beside_probe(run, reference, [copies, new], limit=9, seed=0)
    assert [sample.source for sample in samples] == ["new"] and left_out == 2
    assert "2 samples of the data were left out" in left_out_words({"left_out": left_out})
    assert left_out_words({}) == ""
    with pytest.raises(UserError, match="nothing that can serve beside the run's probe"):
        beside_probe(run, reference, [copies], limit=9, seed=0)
