"""Exclude and include lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.selection.lists import read_list, remote_entries
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.run_factory import make_rows, make_run, score_frame


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


def test_an_entry_longer_than_any_path_is_an_id() -> None:
    assert read_list(["x" * 5_000]).ids == {"x" * 5_000}


def test_a_list_file_of_an_unknown_user_is_missing() -> None:
    with pytest.raises(UserError, match="no such list file"):
        read_list(["~nouser/ids.txt"])


def test_what_lies_elsewhere_is_told_from_what_lies_here(tmp_path: Path) -> None:
    """Before anything is read; an id may look like an address."""
    here = tmp_path / "ids.txt"
    here.write_text("a\n")
    web, hub, kept = "https://host.example/x?y=.json", "hf:me/data", "s3://bucket/a.jsonl.gz"
    settings = SelectionSettings.of(
        exclude=(str(here), web, "https://host.example/page", "a/7"),
        include=(hub, web),
        decontaminate=("memory://a", f"math={hub}", kept, str(here)),
    )
    assert remote_entries(settings) == (web, hub, "memory://a", f"math={hub}", kept)
    assert remote_entries(SelectionSettings.of(exclude=("a/7",))) == ()


def test_a_text_file_includes_rows_by_id_and_by_text(tmp_path: Path) -> None:
    """Both at once: a line of such a file may be either."""
    rows = make_rows(40)
    run = make_run(tmp_path / "run", frame=score_frame(rows))
    ids = run.scores(columns=["id"])["id"].tolist()
    (tmp_path / "list.txt").write_text(f"{ids[3]}\n{rows[7]['question'].upper()}\n")
    settings = SelectionSettings.of(count=2, include=(str(tmp_path / "list.txt"),))
    select_run(run, settings)
    assert set(run.selection_ids("default")["id"]) == {ids[3], ids[7]}
