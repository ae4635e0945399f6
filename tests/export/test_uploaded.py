"""What the app hands out is what the app takes back; a hostile archive writes nothing elsewhere."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path

import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.export import uploaded
from circuitseer_core.export.archive import archive_bytes, pool_archive_bytes
from circuitseer_core.export.formats import FORMATS, Format, file_name
from circuitseer_core.export.uploaded import unpacked, verify_uploaded
from circuitseer_core.export.write import export
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.run_factory import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make_run(tmp_path_factory.mktemp("uploaded") / "run")
    select_run(run, SelectionSettings.of(name="mine"))
    return run


def archive(*entries: tuple[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries:
            packed.writestr(name, content)
    return sink.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_a_download_of_every_format_is_verified(run: Run, form: Format) -> None:
    if form == "datasets":
        pytest.importorskip("datasets")
    result = verify_uploaded([("mine.zip", archive_bytes(run, "mine", form))], run.path)
    assert result.ok and result.rows == run.selection("mine").counts.selected, result.messages


def test_the_whole_pool_and_a_changed_row_in_an_archive(run: Run) -> None:
    packed = pool_archive_bytes(run, "default")
    assert verify_uploaded([("all.zip", packed)], run.path).ok
    with zipfile.ZipFile(io.BytesIO(packed)) as source:
        entries = [(name, source.read(name)) for name in source.namelist()]
    entries[0] = (entries[0][0], entries[0][1].replace(b"a", b"b", 1))
    result = verify_uploaded([("all.ZIP", archive(*entries))], run.path)
    assert result.kinds == ["file", "rows"]


def test_an_archive_packed_anew_by_hand(run: Run) -> None:
    with zipfile.ZipFile(io.BytesIO(archive_bytes(run, "mine"))) as source:
        entries = [(f"mine/{name}", source.read(name)) for name in source.namelist()]
    junk = ("__MACOSX/mine/._mine.jsonl.manifest.json", b"\0")
    assert verify_uploaded([("a.zip", archive(*entries, junk))], run.path).ok


@pytest.mark.parametrize("form", ["csv", "datasets"])
def test_the_files_of_an_export_one_by_one(run: Run, tmp_path: Path, form: Format) -> None:
    if form == "datasets":
        pytest.importorskip("datasets")
    done = export(run, "mine", tmp_path / file_name("mine", form), form)
    paths = list(done.path.iterdir()) if form == "datasets" else [done.path, done.manifest]
    files = [(path.name, path.read_bytes()) for path in paths]
    assert verify_uploaded(files, run.path).ok
    with pytest.raises(UserError, match=r"choose the downloaded \.zip"):
        verify_uploaded([file for file in files if "manifest" not in file[0]], run.path)


@pytest.mark.parametrize(
    "name", ["../a", "/etc/a", "b/../../a", "..\\a", "C:/a", "b/", "mine.jsonl.manifest.json/a"]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "deep" / "folder"
    inside.mkdir(parents=True)
    packed = archive(("mine.jsonl.manifest.json", b"{}"), (name, b"x"))
    if name == "b/":
        assert unpacked(packed, inside).is_file()
    else:
        with pytest.raises(UserError, match="leads out of it|cannot be unpacked"):
            unpacked(packed, inside)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.is_relative_to(inside) for path in files) and not Path("/etc/a").exists()


def test_a_link_is_a_file_like_any_other(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("mine.jsonl")
    entry.external_attr = 0o120777 << 16
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as packed:
        packed.writestr(entry, "/etc/passwd")
        packed.writestr("mine.jsonl.manifest.json", "{}")
    unpacked(sink.getvalue(), tmp_path)
    assert not (tmp_path / "mine.jsonl").is_symlink()
    assert (tmp_path / "mine.jsonl").read_text() == "/etc/passwd"


def test_a_bomb_is_stopped_and_damage_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploaded, "FREE_BYTES", 1 << 16)
    with pytest.raises(UserError, match="unpacks to more"):
        unpacked(archive(("a", b"\0" * (1 << 21))), tmp_path / "bomb")
    monkeypatch.setattr(uploaded, "MOST_FILES", 2)
    with pytest.raises(UserError, match="more than 2 files"):
        unpacked(archive(("a", b""), ("b", b""), ("c", b"")), tmp_path / "many")
    for content in (b"no archive", archive(("a", b"x" * 99))[:-30], b""):
        with pytest.raises(UserError, match="cannot be read"):
            unpacked(content, tmp_path / "damaged")
    with pytest.raises(UserError, match="has 0 manifests"):
        unpacked(archive(("a", b"x")), tmp_path / "none")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_any_changed_byte_is_one_line_or_is_taken(tmp_path: Path, method: int) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as packed:
        for name in ("né.jsonl", "né.jsonl.manifest.json"):
            packed.writestr(name, bytes(range(256)))
    whole, taken = sink.getvalue(), 0
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 0xFF
        with contextlib.suppress(UserError):
            unpacked(bytes(changed), tmp_path / str(at))
            taken += 1
    assert taken < len(whole) / 2, "most of an archive is its content, of which it has a checksum"
