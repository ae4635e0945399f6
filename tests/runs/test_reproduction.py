"""Which commands made a selection: those that it needs, in the order in which they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from circuitseer_core.runs.cluster_records import CLUSTER, RECORD_FILE, ClusterRecord
from circuitseer_core.runs.clusters import cluster_folder
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.reproduction import made_by
from circuitseer_core.runs.stage import versions, versions_with
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.records import edit_run
from tests.support.run_factory import make_rows, make_run, score_frame


def write(path: Path, **keys: Any) -> None:
    old = json.loads(path.read_text()) if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(old | keys), encoding="utf-8")


def scoring(run: Run, name: str, **keys: Any) -> None:
    keys.setdefault("command", f"score {name}")
    write(run.scores_dir(name) / "settings.json", **keys)


def calibration(run: Run, name: str, scores: str, target: str) -> None:
    settings = {"name": name, "scores": scores, "target": target}
    of = {"name": target, "kind": "numbers", "rows": 9, "sha256": "0"}
    record = {"format": 1, "name": name, "settings": settings, "target": of, "whole": {}}
    path = run.calibration_dir(name) / "calibration.json"
    write(path, **record, command=f"calibrate {name}")


def selected(run: Run, **options: Any) -> list[str]:
    return made_by(run, selection=select_run(run, SelectionSettings.of(count=5, **options)))


def whole_run(tmp_path: Path) -> Run:
    """Two scorings; each has imported columns, and a calibration fitted to one of the first's."""
    frame = score_frame(make_rows(30))
    added = frame.assign(reward=frame["random"], other=1.0, calibrated=frame["random"])
    run = make_run(tmp_path / "run", frame=added)
    make_run(run.path, frame=added, name="second")
    edit_run(run, detect={"command": "detect"}, commands=[])
    imports = [{"columns": {n: "c"}, "command": f"import {n}"} for n in ("reward", "other")]
    scoring(run, "default", imported=imports)
    calibration(run, "fit", "default", "reward")
    applied = {"name": "fit", "sha256": "0"}
    scoring(run, "second", calibration=applied)
    return run


def test_added_columns_come_where_they_are_drawn_by(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    plain = selected(run)
    assert plain[:-1] == ["detect", "score default"]
    assert selected(run, scorer="reward")[:-1] == [*plain[:-1], "import reward"]
    assert made_by(run, "default") == [*plain[:-1], "import reward", "import other"]
    assert made_by(run) == ["detect"]


def test_clusters_come_where_they_shared_the_budget(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    record = select_run(run, SelectionSettings.of(stratify="equal"))
    clusters = ClusterRecord(
        clusters=[], rows=30, fitted_rows=30, seed=0, max_length=9, dtype="fp32", width=8,
        model=run.model, sha256="0", created="", command="cluster",
    )  # fmt: skip
    clusters.write(cluster_folder(run, "default") / RECORD_FILE)
    assert "cluster" not in made_by(run, selection=record)
    record.settings.stratify_by = CLUSTER
    assert made_by(run, selection=record)[1:-1] == ["score default", "cluster"]


def test_a_calibration_comes_after_what_it_was_fitted_on(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    fitted = ["detect", "score second", "score default", "import reward", "calibrate fit"]
    commands = selected(run, scores="second", scorer="calibrated")
    assert commands[:-2] == fitted
    assert commands[-2].endswith(f"calibrate --run {run.path} --name fit --apply second")
    assert selected(run, scores="second")[:-1] == ["detect", "score second"]
    at_once = "score --run r --calibration fit --name second"
    scoring(run, "second", command=at_once)
    commands = selected(run, scores="second", scorer="calibrated")
    assert commands[:-1] == ["detect", *fitted[2:], at_once]


def test_the_selection_whose_lengths_it_has_comes_first(tmp_path: Path) -> None:
    run = whole_run(tmp_path)
    first = select_run(run, SelectionSettings.of(name="first", count=9, scorer="reward"))
    settings = SelectionSettings.of(name="then", match_lengths="first", temperature=float("inf"))
    commands = made_by(run, selection=select_run(run, settings))
    assert commands[:-1] == ["detect", "score default", "import reward", first.command]


def test_runs_of_before_have_the_last_command_of_a_stage(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    commands = made_by(run, "default")
    assert [command.split()[-1] for command in commands] == ["detect", "score"]


def test_versions_that_had_a_part_stand_side_by_side() -> None:
    own = versions()["numpy"]
    assert versions_with({}) == versions()
    assert versions_with({"numpy": own})["numpy"] == own
    assert versions_with({"numpy": "1.0, 1.1"})["numpy"] == f"1.0, 1.1, {own}"
