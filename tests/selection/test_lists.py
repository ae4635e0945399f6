"""Exclude and include lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from circuitseer_core.cli.outcomes import drawn
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import DataRecord
from circuitseer_core.selection.lists import read_list, remote_entries
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.detected_run import write_rows
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


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """gsm/a, gsm/b, gsm/c and aqua/c, aqua/d; the data was read with a prompt field of its own."""
    names = ["gsm/a", "gsm/b", "gsm/c", "aqua/c", "aqua/d"]
    rows: list[dict[str, Any]] = make_rows(5)
    frame = score_frame(rows).assign(id=names, source=[name.split("/")[0] for name in names])
    made = make_run(tmp_path / "run", frame=frame.assign(prompt=[f"body {n}" for n in names]))
    scoring = made.scoring("default")
    scoring.data = [DataRecord(fields={"prompt": "body", "id": "nr"})]
    scoring.write(made.scores_dir("default") / "settings.json")
    return made


@pytest.mark.parametrize(
    ("row", "out"),
    [
        ({"circuitseer_id": "gsm/a", "id": "zzz", "body": "another"}, {"gsm/a"}),
        ({"circuitseer2_id": "gsm/a", "circuitseer_id": "gsm/b"}, {"gsm/a"}),
        ({"body": "Body  GSM/a", "question": "another"}, {"gsm/a"}),
        ({"id": "a"}, {"gsm/a"}),
        ({"nr": "a"}, {"gsm/a"}),
        ({"id": "c", "source": "aqua"}, {"aqua/c"}),
        ({"id": "c"}, set()),
        ({"id": "a", "question": "a benchmark's, by chance of the same number"}, set()),
        ({"id": "a", "text": "a benchmark's, by chance of the same number"}, set()),
    ],
)
def test_rows_of_data_name_rows_of_the_pool(
    run: Run, tmp_path: Path, row: dict[str, str], out: set[str]
) -> None:
    """By the run's id, by the prompt as the pool was read, by an own id that stands alone."""
    listed = write_rows(tmp_path / "list.jsonl", [row])
    select_run(run, SelectionSettings.of(fraction=1, exclude=(listed,)))
    everyone = set(run.scores(columns=["id"])["id"])
    assert everyone - set(run.selection_ids("default")["id"]) == out


def test_own_ids_in_a_text_file_or_typed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("b\nc\nno such\n")
    settings = SelectionSettings.of(fraction=1, exclude=(str(tmp_path / "ids.txt"), "d", "c", "e"))
    record = select_run(run, settings)
    assert set(run.selection_ids("default")["id"]) == {"gsm/a", "gsm/c", "aqua/c"}
    assert record.lists is not None
    assert [(f.rows, f.ambiguous) for f in record.lists.files] == [
        (1, 1), (1, None), (0, 1), (0, None),
    ]  # fmt: skip
    lines = drawn(run, record).lines
    several = "1 id is that of several sources and named no row (write source/id)"
    assert f"exclude {tmp_path / 'ids.txt'}: {several}" in lines
    assert f"exclude c: {several}" in lines
    assert "exclude: no row has the id e, and it is no file either" in lines


def test_a_list_may_be_any_data(run: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "one.jsonl", [{"id": "a"}])
    write_rows(tmp_path / "two.jsonl", [{"id": "b"}])
    for entry, ids in ((f"named={tmp_path}/one.jsonl", {"a"}), (f"{tmp_path}/*.jsonl", {"a", "b"})):
        assert read_list([entry]).ids == ids
    pd.DataFrame({"id": ["gsm/a"]}).to_parquet(tmp_path / "p.parquet")
    assert read_list([str(tmp_path / "p.parquet")]).entries[0].sha256 is not None
