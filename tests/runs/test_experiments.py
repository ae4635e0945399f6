"""What is read of the experiments that a run holds: its own files, and those that are whole."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from circuitseer_core.files import write_parquet
from circuitseer_core.runs.experiment_records import ExperimentRecord
from circuitseer_core.runs.experiments import experiments_folder, saved_results, saved_table
from circuitseer_core.runs.folder import Run
from tests.support.damaged import damage


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path / "run")
    folder = experiments_folder(run)
    write_parquet(folder / "length.parquet", pd.DataFrame({"x": range(999)}))
    record = ExperimentRecord(name="../../elsewhere", title="?", verdict=".")
    record.write(folder / "length.json")
    write_parquet(tmp_path / "elsewhere.parquet", pd.DataFrame({"secret": [1]}))
    return run


def test_a_record_names_no_table_but_the_one_beside_it(run: Run) -> None:
    (record,) = saved_results(run)
    assert record.name == "length" and list(saved_table(run, record)) == ["x"]
    assert not saved_results(run, "training*")


def test_a_damaged_table_is_none(run: Run) -> None:
    (record,) = saved_results(run)
    damage(run.path, "experiments/length.parquet", "flipped")
    assert saved_table(run, record).empty
