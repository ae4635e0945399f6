"""A run's tables against their checksums: damage is named, with what makes the table again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from circuitseer_core import checksums
from circuitseer_core.cli.main import app
from circuitseer_core.errors import UserError
from circuitseer_core.files import write_parquet
from circuitseer_core.runs.folder import DEMO_RUN, Run
from circuitseer_core.runs.integrity import check_run, tables
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.signatures.evidence import Evidence
from tests.support.records import edit_run
from tests.support.synthetic import Shape, make_run


def signed(path: Path) -> Run:
    """A synthetic run whose tables are written as the stages write them."""
    run = Run.open(make_run(path, Shape(rows=60, layers=2, heads=3)))
    import pandas as pd

    for file, _ in tables(path):
        write_parquet(file, pd.read_parquet(file))
    return run


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 4
    path.write_bytes(raw)


def test_a_whole_run_and_one_of_before(tmp_path: Path) -> None:
    run = signed(tmp_path / "run")
    result = check_run(run.path)
    assert result.ok and result.whole == len(list(tables(run.path))) > 5 and not result.unsigned
    bundled = check_run(DEMO_RUN)
    assert bundled.ok


@pytest.mark.parametrize(
    ("file", "remedy"),
    [
        ("heads.parquet", "detect --run"),
        ("probe.parquet", "another run"),
        ("scores/default/part-00000.parquet", "score --run {run} --name default"),
        ("selections/default/ids.parquet", "select --run {run} --name default"),
    ],
)
def test_damage_is_named(tmp_path: Path, file: str, remedy: str) -> None:
    run = signed(tmp_path / "run")
    flip(run.path / file)
    damaged = check_run(run.path).damaged
    assert [damage.file for damage in damaged] == [file]
    assert remedy.format(run=run.path) in damaged[0].remedy
    printed = CliRunner().invoke(app, ["verify", "--run", str(run.path)])
    assert printed.exit_code == 1 and file in printed.output


@pytest.mark.parametrize("file", ["heads.parquet", "probe.parquet"])
def test_a_table_of_a_finished_detection_that_is_gone_is_damage(tmp_path: Path, file: str) -> None:
    run = signed(tmp_path / "run")
    (run.path / file).unlink()
    assert [damage.file for damage in check_run(run.path).damaged] == [file]
    assert "is missing" in check_run(run.path).damaged[0].remedy
    edit_run(run, detect={})
    assert check_run(run.path).ok, "none was promised"


def test_no_verdict_is_reached_on_damage(tmp_path: Path) -> None:
    """Every reader of the scores looks, and looks once: the answer is kept by size and time."""
    run = signed(tmp_path / "run")
    assert CliRunner().invoke(app, ["validate", "--run", str(run.path), "length"]).exit_code == 0
    (run.path / "experiments" / "length.json").unlink()
    flip(run.score_parts()[0])
    for command in (["validate", "length"], ["report", "--out", str(tmp_path / "r.html")]):
        printed = CliRunner().invoke(app, [command[0], "--run", str(run.path), *command[1:]])
        assert printed.exit_code == 1 and "part-00000.parquet is damaged" in str(printed.exception)
    assert not (run.path / "experiments" / "length.json").exists()
    assert Evidence(run).scored is None and Evidence(run).damaged == run.score_parts()[0]
    before = checksums._is_whole.cache_info().misses
    with pytest.raises(UserError, match="damaged"):
        run.scores(columns=["id"])
    assert checksums._is_whole.cache_info().misses == before


def test_damage_is_not_computed_on(tmp_path: Path) -> None:
    run = signed(tmp_path / "run")
    shutil.copytree(run.path, tmp_path / "copy")
    flip(run.score_parts()[0])
    with pytest.raises(UserError, match=r"part-00000\.parquet is damaged"):
        select_run(run, SelectionSettings.of(fraction=0.2))
    copy = Run.open(tmp_path / "copy")
    for name in ("heads.parquet", "probe.parquet", "selections/default/ids.parquet"):
        flip(copy.path / name)
    for read in (copy.heads, copy.probe, lambda: copy.selection_ids("default")):
        with pytest.raises(UserError, match="is damaged"):
            read()
    assert Evidence(copy).probe is None, "a warning reads none of it either"
