"""The archive holds what ``export`` writes, and is verified once unpacked."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.export import write
from circuitseer_core.export.archive import (
    archive_bytes,
    pool_archive_bytes,
    push_preview,
    zipped,
)
from circuitseer_core.export.verify import verify
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.exported import exported_bytes
from tests.support.run_factory import make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = make_run(tmp_path / "run")
    select_run(run, SelectionSettings.of(name="mine"))
    return run


@pytest.mark.parametrize(("form", "data"), [("jsonl", "mine.jsonl"), ("parquet", "mine.parquet")])
def test_unpacked_it_is_a_verified_export(run: Run, tmp_path: Path, form, data: str) -> None:
    packed = archive_bytes(run, "mine", form)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == [data, f"{data}.manifest.json", "README.md"]
        assert archive.read(data) == exported_bytes(run, "mine", form)
        archive.extractall(tmp_path / "there")
    manifest = json.loads((tmp_path / "there" / f"{data}.manifest.json").read_text())
    assert manifest["commands"][-1].split("--out ")[1].startswith(data)
    card = (tmp_path / "there" / "README.md").read_text()
    assert f"--out {data} " in card and "/circuitseer-" not in card
    assert "path_from_here" not in manifest["run"] or manifest["run"]["path_from_here"] is None
    assert verify(tmp_path / "there" / data).ok


def test_the_whole_pool_unpacked_is_a_verified_export(run: Run, tmp_path: Path) -> None:
    packed = pool_archive_bytes(run, "default")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        data, *rest = archive.namelist()
        assert (data, rest) == ("default.all.jsonl", [f"{data}.manifest.json", "README.md"])
        lines = archive.read(data).splitlines()
        archive.extractall(tmp_path / "there")
    ids = [json.loads(line)["circuitseer_id"] for line in lines]
    assert ids == run.scores(columns=["id"])["id"].tolist()
    assert verify(tmp_path / "there" / data).ok


def test_a_push_is_previewed_as_it_will_be(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, bytes] = {}

    def fake(repo: str, files: dict[str, Path]) -> str:
        sent.update({name: path.read_bytes() for name, path in files.items()})
        return repo

    monkeypatch.setattr(write, "push_files", fake)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    write.export(run, "mine", tmp_path / "a" / "mine.jsonl", push="me/mine")
    seen = push_preview(run, "mine", "jsonl", tmp_path / "b")
    assert list(seen) == list(sent)
    assert seen["mine.jsonl"].read_bytes() == sent["mine.jsonl"]
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in seen.values())


@pytest.mark.parametrize("made", ["", "then", "1969-01-01", "9999-01-01", "2026-01-02T03:04:05"])
def test_a_zip_takes_any_time_and_leads_nowhere(tmp_path: Path, made: str) -> None:
    """Both come from records and folders that anybody may have made."""
    (tmp_path / "a").write_text("x")
    names = ["a", r"..\..\a", "C:a"]
    packed = zipped([(name, tmp_path / "a") for name in names], made)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.namelist() == ["a", ".._.._a", "C_a"]
        year = archive.infolist()[0].date_time[0]
    assert year == (2026 if made.startswith("2026") else 1980)


def test_an_unknown_name_is_one_line(run: Run) -> None:
    with pytest.raises(UserError, match="no selection named 'other'"):
        archive_bytes(run, "other")
