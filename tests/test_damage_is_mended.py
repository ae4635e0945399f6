"""A damaged file is named and made again, or refused where it cannot be; nothing else changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from circuitseer_core import stages as by_settings
from circuitseer_core.checksums import is_whole
from circuitseer_core.cli.main import app
from circuitseer_core.detection import detect as detection
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import Cancelled, UserError
from circuitseer_core.export.write import export
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.integrity import check_run, tables
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.tiny_models import save_tiny


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 4
    path.write_bytes(raw)


class Stages:
    """The three stages on one tiny model and forty rows, two of them without a prompt."""

    def __init__(self, home: Path) -> None:
        self.data, self.model = home / "toy.jsonl", str(save_tiny(home / "model"))
        rows = [
            {"id": f"{i}", "question": f"Tom has {i} pears. How many?" if i % 20 else "",
             "answer": f"He has {i}."}
            for i in range(40)
        ]  # fmt: skip
        self.data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    def detect(self, path: Path) -> None:
        probe = [str(self.data)]
        settings = DetectSettings(model=self.model, probe=probe, probe_size=4, device="cpu")
        by_settings.run_detection(path, settings, show=False)

    def score(self, path: Path) -> None:
        settings = ScoreSettings(data=[str(self.data)], shard_rows=16, device="cpu")
        by_settings.run_scoring(path, settings, show=False)

    def select(self, path: Path) -> None:
        by_settings.run_selection(path, SelectionSettings.of(fraction=0.3))


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    return Stages(tmp_path_factory.mktemp("stages"))


@pytest.fixture(scope="module")
def made(stages: Stages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "run"
    for stage in (stages.detect, stages.score, stages.select):
        stage(path)
    return path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Iterator[Run]:
    shutil.copytree(made, tmp_path / "run")
    yield Run.open(tmp_path / "run")


def same(one: Path, other: Path) -> bool:
    """Whether two runs hold the same tables."""
    names = [[file.relative_to(path) for file, _ in tables(path)] for path in (one, other)]
    assert names[0] == names[1]
    return all(pd.read_parquet(one / n).equals(pd.read_parquet(other / n)) for n in names[0])


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("importance/part-all.parquet", "detect"),
        ("heads.parquet", "detect"),
        ("scores/default/part-00001.parquet", "score"),
        ("scores/default/rejects.parquet", "score"),
        ("selections/default/ids.parquet", "select"),
        ("selections/default/lists.parquet", "select"),
        ("selections/default/selection.json", "select"),
    ],
)
def test_it_is_named_and_made_again(
    run: Run, made: Path, stages: Stages, file: str, stage: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (run.path / file).write_text("{") if file.endswith("json") else flip(run.path / file)
    printed = CliRunner().invoke(app, ["verify", "--run", str(run.path)])
    assert printed.exit_code == 1 and f"damaged: {file}: {stage} --run" in printed.output
    getattr(stages, stage)(run.path)
    if stage != "select":  # which draws anew in any case
        assert f"damaged, made again: {Path(file).name}" in capsys.readouterr().err
    assert check_run(run.path).ok and same(run.path, made)


def test_a_part_of_an_unfinished_detection(
    tmp_path: Path, made: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = tmp_path / "run"

    def stop(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Cancelled):
        patch.setattr(detection, "merge_parts", stop)
        stages.detect(path)
    part = sorted((path / "importance").glob("part-*.parquet"))[1]
    times = {file.name: file.stat().st_mtime_ns for file in part.parent.iterdir()}
    flip(part)
    with monkeypatch.context() as patch, pytest.raises(Cancelled):
        patch.setattr(detection, "merge_parts", stop)
        stages.detect(path)
    assert f"damaged, made again: {part.name}" in capsys.readouterr().err
    redone = {n for n, t in times.items() if (part.parent / n).stat().st_mtime_ns != t}
    assert redone == {part.name} and is_whole(part)
    stages.detect(path)
    whole = Run.open(made)
    pd.testing.assert_frame_equal(Run.open(path).heads(), whole.heads())
    rows = [
        run.importance().sort_values(["id", "layer", "head"], ignore_index=True)
        for run in (Run.open(path), whole)
    ]  # each detection finds its own batch size, and so its own order
    pd.testing.assert_frame_equal(*rows)


def test_a_probe_is_refused_once_something_was_measured_on_it(run: Run, stages: Stages) -> None:
    flip(run.probe_path)
    run.heads_path.unlink()
    with pytest.raises(UserError, match=r"probe\.parquet is damaged .*start another run"):
        stages.detect(run.path)


def test_a_probe_is_built_again_before(
    run: Run, made: Path, stages: Stages, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(run.probe_path)
    run.heads_path.unlink()
    shutil.rmtree(run.importance_dir)
    stages.detect(run.path)
    assert "damaged, made again: probe.parquet" in capsys.readouterr().err
    assert same(run.path, made)


@pytest.mark.parametrize("file", ["part-00001.parquet", "part-00002.parquet"])
def test_a_shard_that_is_gone_is_no_fewer_rows(
    run: Run, made: Path, stages: Stages, file: str
) -> None:
    shard = run.scores_dir() / file
    shard.unlink()
    with pytest.raises(UserError, match=f"{file} is missing: run score"):
        stages.select(run.path)
    damaged = check_run(run.path).damaged
    assert [(d.file, "is missing" in d.remedy) for d in damaged] == [
        (f"scores/default/{file}", True)
    ]
    stages.score(run.path)
    assert same(run.path, made)


def test_an_export_of_a_damaged_selection_is_refused(run: Run, tmp_path: Path) -> None:
    flip(run.selection_dir("default") / "ids.parquet")
    with pytest.raises(UserError, match=r"ids\.parquet is damaged .*select --run"):
        export(run, "default", tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
    result = check_run(run.path)
    (run.selection_dir("default") / "ids.parquet").unlink()
    assert [d.file for d in check_run(run.path).damaged] == [d.file for d in result.damaged]


def test_settings_that_cannot_be_read_are_named(run: Run, stages: Stages, made: Path) -> None:
    settings = run.scores_dir() / "settings.json"
    settings.write_text("[]")
    with pytest.raises(UserError, match=r"settings\.json cannot be read"):
        stages.score(run.path)
    (damage,) = check_run(run.path).damaged
    assert damage.file == "scores/default/settings.json" and "delete its folder" in damage.remedy
    shutil.rmtree(run.scores_dir())
    stages.score(run.path)
    assert same(run.path, made)
