"""Uploads are kept once, under the hash of what is in them, and never in another's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.errors import UserError
from ui.runs import data_input
from ui.runs.data_input import kept_upload

ROW = b'{"question": "1 + 1?", "answer": "2"}\n'


def test_the_same_bytes_are_kept_once_and_other_bytes_beside_them(runs_home: Path) -> None:
    first = kept_upload("sums.jsonl", ROW)
    assert kept_upload("sums.jsonl", ROW) == first
    other = kept_upload("sums.jsonl", ROW.replace(b"2", b"3"))
    assert other != first
    paths = [Path(spec.partition("=")[2]) for spec in (first, other)]
    assert [p.read_bytes() for p in paths] == [ROW, ROW.replace(b"2", b"3")]
    kept = [path for path in (runs_home / "uploads").rglob("*") if path.is_file()]
    assert sorted(kept) == sorted(paths)


def test_the_source_is_named_after_the_file(runs_home: Path) -> None:
    spec = kept_upload("my:sums=1.jsonl", ROW)
    sample = next(iter(Corpus([spec])))
    assert sample.source == "my_sums-1"


def test_a_path_in_the_name_leads_nowhere(runs_home: Path) -> None:
    spec = kept_upload("../../evil.jsonl", ROW)
    assert Path(spec.partition("=")[2]).parent.parent == runs_home / "uploads"


@pytest.mark.parametrize(
    "spec",
    ["x" * 5_000, "x/" * 5_000, "~nouser/x.jsonl", "a\0b.jsonl", "[", "name="],
)
def test_a_typed_path_that_cannot_be_is_a_line(spec: str) -> None:
    assert data_input._stamps([spec]) == ()
    with pytest.raises(UserError):
        data_input._preview((spec,), (), ())


def test_a_file_that_goes_while_its_folder_is_looked_at_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jsonl").write_bytes(ROW)
    gone = tmp_path / "gone.jsonl"
    monkeypatch.setattr(data_input, "files_below", lambda folder: [tmp_path / "a.jsonl", gone])
    assert len(data_input._stamps([str(tmp_path)])) == 1
