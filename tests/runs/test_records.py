"""Records of a run's JSON files: what is kept, what is refused, what the bundled run says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.export.manifest import ExportManifest
from circuitseer_core.runs import jobs
from circuitseer_core.runs.clusters import cluster_record
from circuitseer_core.runs.experiment_records import ExperimentRecord
from circuitseer_core.runs.folder import DEMO_RUN, Run
from circuitseer_core.runs.integrity import check_run
from circuitseer_core.runs.job_records import JobRecord
from circuitseer_core.runs.records import Record, RunRecord, ScoringRecord
from circuitseer_core.runs.selection_records import SelectionRecord
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.stages import run_selection
from tests.support.run_factory import make_run


def test_keys_of_a_newer_version_survive_an_update(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    path = run.path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"from_the_future": {"a": 1}}))
    run.reload()
    with run.editing() as record:
        record.state = "running"
    written = json.loads(path.read_text())
    assert written["from_the_future"] == {"a": 1} and written["state"] == "running"


def test_only_what_was_set_is_written(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    assert set(json.loads((run.path / "run.json").read_text())) == {
        "format",
        "name",
        "created",
        "state",
    }


def test_an_edit_that_fails_writes_nothing(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    before = (run.path / "run.json").read_bytes()
    with pytest.raises(ZeroDivisionError), run.editing() as record:
        record.state = "running"
        raise ZeroDivisionError
    assert (run.path / "run.json").read_bytes() == before and run.record.state == "new"


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        (RunRecord, {"format": 1, "seconds": {"detect": "long"}}, "seconds.detect"),
        (RunRecord, {"name": "x"}, "format: Field required"),
        (ScoringRecord, {"heads": [[1]]}, "heads.0.1"),
        (ScoringRecord, {"text": "poem"}, "text: Input should be 'prompt'"),
        (SelectionRecord, {"format": 1, "name": "x", "settings": {}}, "settings.name"),
        (JobRecord, {"steps": "rm"}, "steps"),
    ],
)
def test_a_bad_key_is_one_line_that_names_it(
    tmp_path: Path, kind: type[Record], content: dict[str, object], message: str
) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        kind.read(path)
    text = str(caught.value)
    assert text.startswith(f"{path} cannot be read: ") and message in text and "\n" not in text


@pytest.mark.parametrize("content", [{"steps": [[]]}, {"steps": [["select"]], "step": -3}])
def test_a_job_without_a_step_to_name_is_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "job.json").write_text(json.dumps(content | {"state": "failed"}))
    with pytest.raises(UserError, match=r"job\.json cannot be read: step"):
        JobRecord.read(tmp_path / "job.json")
    assert jobs.status(tmp_path).state == "none"


def test_another_format_is_refused(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    (run.path / "run.json").write_text('{"format": 2}')
    with pytest.raises(UserError, match="run format 2, not 1"):
        Run.open(run.path)


def test_the_bundled_run_has_every_section() -> None:
    run = Run.open(DEMO_RUN)
    assert run.model.id == "demo" and sum(run.model.heads_per_layer) == 270
    assert run.detection.finished and run.detection.evaluations
    assert run.record.seconds["detect"] > 0
    assert len(run.scoring().heads) == 14 and run.scoring().state == "done"
    names = run.selections()
    diagnostics = [run.selection(name).diagnostics for name in names]
    assert names and all(drawn is not None and drawn.ess >= 1 for drawn in diagnostics)


def test_a_record_is_written_as_it_was_read() -> None:
    for path in (DEMO_RUN / "run.json", *DEMO_RUN.glob("s*/*/*.json")):
        kind = {
            "run.json": RunRecord,
            "settings.json": ScoringRecord,
            "selection.json": SelectionRecord,
        }[path.name]
        assert kind.read(path).to_json() == json.loads(path.read_text()), path


def test_a_manifest_without_its_parts_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run: Field required"):
        ExportManifest.parse({"format": 1, "made_by": "circuitseer"}, tmp_path / "a.json")


LENGTH = "experiments/length.json"


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("scores/default/settings.json", lambda run: run.scoring()),
        ("selections/default/selection.json", lambda run: run.selection("default")),
        ("calibrations/fit/calibration.json", lambda run: run.calibration("fit")),
        ("scores/default/clusters/clusters.json", lambda run: cluster_record(run, "default")),
        (
            "experiments/length.json",
            lambda run: ExperimentRecord.read(run.path / "experiments" / "length.json"),
        ),
    ],
)
def test_a_record_of_a_later_version_is_one_clear_line(
    tmp_path: Path, file: str, read: Callable[[Run], object]
) -> None:
    run = make_run(tmp_path / "run")
    path = run.path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    old = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(old | {"format": 2}))
    with pytest.raises(UserError, match=rf"{path.name} was written by a later version .*update it"):
        read(run)
    (damage,) = check_run(run.path).damaged
    assert damage.file == file and "update this one, and leave the file" in damage.remedy


def test_a_selection_of_a_later_version_is_not_replaced_unasked(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run_selection(run.path, SelectionSettings.of())
    path = run.selection_dir("default") / "selection.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(UserError, match="later version"):
        run_selection(run.path, SelectionSettings.of())
    run_selection(run.path, SelectionSettings.of(), replace=True)
    assert run.selection("default").format == 1


def test_a_number_too_large_to_count_with_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(f'{{"format": 1, "detect": {{"n_probe": 1{"0" * 400}}}}}')
    with pytest.raises(UserError, match="cannot be read: a number of 401 digits"):
        RunRecord.of_run(tmp_path)
