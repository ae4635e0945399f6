"""Scoring by a worker a device: the bits of one process, also when a worker is killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from circuitseer_core.runs.job_records import ProgressRecord
from circuitseer_core.runs.machine import device_names
from circuitseer_core.scoring import shards
from circuitseer_core.scoring.score import score
from circuitseer_core.scoring.settings import ScoreSettings
from tests.support.detected_run import detected_run, questions, write_rows
from tests.support.device_service import workers


def settings(data: str, name: str, **options: Any) -> ScoreSettings:
    return ScoreSettings(data=[data], name=name, heads="3", shard_rows=6, **options)


@pytest.mark.usefixtures("one_thread")
def test_two_workers_give_the_bits_of_one_process_though_one_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = detected_run(tmp_path)
    # The first window has nothing to find a batch size with, and a row is rejected.
    rows = [{"question": "7"}] * 7 + questions(50)
    data = write_rows(tmp_path / "questions.jsonl", rows)
    write = shards.write_part
    written: list[int] = []

    def writes_and_kills(folder: Path, table: Any, note: shards.Note) -> None:
        write(folder, table, note)
        written.append(note.shard)
        if len(written) == 2:
            workers()[0].kill()

    monkeypatch.setattr(shards, "write_part", writes_and_kills)
    several = score(run, settings(data, "several", devices="cpu,cpu"), progress=False)
    monkeypatch.undo()
    assert workers() == [] and several.token_budget is not None and several.token_budget >= 1024
    assert sorted(written) == list(range(10)), "no shard is written twice"
    progress = ProgressRecord.read(run.progress_path)
    assert progress.done == progress.total == 57, "what a dead worker told is taken back"
    line = "the worker on cpu was killed (SIGKILL); the others do its part\n"
    assert capfd.readouterr().err.count(line) == 1

    budget = several.token_budget
    alone = score(run, settings(data, "alone", device="cpu", token_budget=budget), progress=False)
    assert (several.rows, several.rejected) == (alone.rows, alone.rejected) == (50, 7)
    assert several.model == alone.model and several.max_length == alone.max_length
    for one, other in zip(run.score_parts("alone"), run.score_parts("several"), strict=True):
        assert pq.read_table(one).equals(pq.read_table(other))
        assert json.loads(pq.read_schema(one).metadata[b"circuitseer"]) == json.loads(
            pq.read_schema(other).metadata[b"circuitseer"]
        )
    pd.testing.assert_frame_equal(run.rejects("alone"), run.rejects("several"))


def test_where_it_runs_is_no_part_of_a_scoring(tmp_path: Path) -> None:
    """What one device began, several go on with, and the other way round: nothing is left here."""
    run = detected_run(tmp_path)
    data = write_rows(tmp_path / "questions.jsonl", questions(10))
    done = score(run, settings(data, "default", device="cpu"), progress=False)
    assert score(run, settings(data, "default", devices="cpu,cpu"), progress=False) == done


def test_devices_are_for_this_machine() -> None:
    with pytest.raises(ValueError, match="goes with --engine local"):
        ScoreSettings(data=["d"], engine="ray", devices="0,1")
    assert device_names(ScoreSettings(data=["d"], devices="0,cpu")) == ["cuda:0", "cpu"]
