"""Data that a run is given later, read by the names that it knows where the data has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.data.fields import Fields
from circuitseer_core.data.sample import Sample
from circuitseer_core.errors import UserError
from circuitseer_core.runs.reading import probe_fields, read_as, scored_fields
from circuitseer_core.runs.records import DataRecord
from tests.support.detected_run import write_rows
from tests.support.records import edit_run
from tests.support.run_factory import make_run

KNOWN = Fields(prompt="body", response="key", id="nr", response_items="all")


@pytest.mark.parametrize(
    ("row", "prompt", "response"),
    [
        ({"body": "b?", "key": ["k", "l"], "nr": 1, "question": "q?"}, "b?", "k\n\nl"),
        ({"body": "b?", "key": "k"}, "b?", "k"),
        ({"body": "b?", "answer": "a"}, "b?", "a"),
        ({"question": "q?", "answer": "a"}, "q?", "a"),
    ],
)
def test_known_names_come_first(
    tmp_path: Path, row: dict[str, object], prompt: str, response: str
) -> None:
    [entry] = read_as([write_rows(tmp_path / "d.jsonl", [row])], KNOWN)
    assert isinstance(entry, Sample) and (entry.prompt, entry.response) == (prompt, response)


def test_names_that_are_asked_for_are_all_that_count(tmp_path: Path) -> None:
    data = [write_rows(tmp_path / "d.jsonl", [{"body": "b?", "other": "o?"}])]
    [entry] = read_as(data, KNOWN, Fields(prompt="other"))
    assert isinstance(entry, Sample) and entry.prompt == "o?"
    with pytest.raises(UserError, match="has no field 'none' for the prompt"):
        read_as(data, KNOWN, Fields(prompt="none"))


def test_what_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_as([str(tmp_path / "none.jsonl")], KNOWN)
    with pytest.raises(UserError, match="no prompt field recognised"):
        read_as([write_rows(tmp_path / "d.jsonl", [{"text": "b?"}])], KNOWN)


def test_the_names_are_those_of_the_probe_and_of_the_scoring(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert probe_fields(run) == scored_fields(run, "default") == Fields()
    edit_run(run, detect={"probe_data": {"fields": {"prompt": "p"}}})
    scoring = run.scoring("default")
    scoring.data = [DataRecord(fields={"prompt": "s", "response_items": "all"})]
    scoring.write(run.scores_dir("default") / "settings.json")
    assert probe_fields(run) == Fields(prompt="p")
    assert scored_fields(run, "default") == Fields(prompt="s", response_items="all")
