"""Uploads: any name can be stored, and nothing stored is written over."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuitseer_core.data import uploads
from circuitseer_core.data.uploads import file_name, store
from circuitseer_core.errors import UserError


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a.jsonl", "a.jsonl"),
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\a.csv", "a.csv"),
        (".hidden.csv", "hidden.csv"),
        ("a\ud800b.json", "a_b.json"),
        ("x" * 300 + ".parquet", "x" * 72 + ".parquet"),
        ("", "file"),
        ("\x00", "_"),
    ],
)
def test_names(name: str, kept: str) -> None:
    assert file_name(name) == kept


@given(st.text(alphabet=st.characters(), max_size=400))
def test_any_name_is_one_that_can_be_stored(name: str) -> None:
    made = file_name(name)
    assert 0 < len(made.encode()) <= 255 and "/" not in made and made not in (".", "..")


def test_another_content_is_another_file(tmp_path: Path) -> None:
    first, second = store(tmp_path, "a.csv", b"one"), store(tmp_path, "a.csv", b"two")
    assert first != second and first.name == second.name == "a.csv"
    assert first.read_bytes() == b"one" and store(tmp_path, "a.csv", b"one") == first


def test_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", 3)
    with pytest.raises(UserError, match="larger"):
        store(tmp_path, "a.csv", b"four")
    assert not list(tmp_path.iterdir())
