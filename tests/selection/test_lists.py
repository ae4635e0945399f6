"""Exclude and include lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.selection.lists import read_list


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("gone.jsonl", None, "no such list file"),
        ("empty.txt", "", "names no sample"),
        ("bad.jsonl", "{not json\n", "bad.jsonl:1: invalid JSON"),
        ("other.csv", "colour\nred\n", "names no sample"),
    ],
)
def test_broken_lists_are_named(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        read_list([str(tmp_path / name)])
