"""Each format as its readers take it: datasets, trainers, spreadsheets."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.export.formats import LABELS, Format, format_of
from circuitseer_core.export.verify import verify
from circuitseer_core.export.write import Exported, export, export_all
from circuitseer_core.runs.folder import Run
from tests.support.exported import GROUP, read_lines, run_of, selected
from tests.support.run_factory import make_run, score_frame


def test_parquet_and_datasets_hold_the_same_rows(run: Run, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    lines = read_lines(export(run, None, tmp_path / "a.jsonl").path)
    table = pq.read_table(export(run, None, tmp_path / "a.parquet").path)
    assert table.to_pylist() == lines
    folder = export(run, None, tmp_path / "ds", "datasets").path
    loaded = datasets.load_from_disk(str(folder))
    assert loaded.to_list() == lines and loaded.column_names == list(lines[0])
    again = export(run, None, folder, "datasets")
    assert again.rows == 20, "an earlier export may be replaced"
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


@pytest.mark.parametrize("form", ["jsonl", "parquet", "csv", "prompt-completion", "alpaca"])
def test_every_file_is_read_by_load_dataset(run: Run, tmp_path: Path, form: str) -> None:
    datasets = pytest.importorskip("datasets")
    done = export(run, None, f"{tmp_path}/out/", form)  # type: ignore[arg-type]
    reader = form if form in ("parquet", "csv") else "json"
    loaded = datasets.load_dataset(
        reader, data_files=str(done.path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(loaded) == done.rows == 20 and set(GROUP) <= set(loaded.column_names)
    assert loaded["circuitseer_id"] == run.selection_ids("default")["id"].tolist()


def test_a_csv_holds_the_same_rows(tmp_path: Path) -> None:
    originals = [
        {"question": 'a "b", c\nd', "answer": "1", "level": 1, "tags": ["x", None], "none": None},
        {"question": "=1+1\r\n\x00 ✓", "answer": "", "level": "hard", "flag": True},
    ]
    run = run_of(tmp_path, originals)
    done = export(run, None, tmp_path / "a.csv", keep_formulas=True)
    assert "--keep-formulas" in json.loads(done.manifest.read_text())["commands"][-1]
    rows = {row["question"]: row for row in csv.DictReader(done.path.open(newline=""))}
    assert set(rows) == {original["question"] for original in originals}
    first, second = (rows[original["question"]] for original in originals)
    assert first["level"] == "1" and second["level"] == "hard" and second["flag"] == "true"
    assert json.loads(first["tags"]) == ["x", None] and first["none"] == second["tags"] == ""
    assert set(GROUP) <= set(first) and float(first[GROUP[1]]) > 0
    result = verify(done.path)
    assert result.ok and result.rows == 2, result.messages
    done.path.write_text(done.path.read_text().replace("hard", "soft"))
    assert verify(done.path).kinds == ["file", "rows"]


def test_a_bare_return_does_not_end_a_row_of_a_csv(tmp_path: Path) -> None:
    run = run_of(tmp_path, [{"question": "one\rtwo", "answer": "a"}, {"question": "b"}])
    done = export(run, None, tmp_path / "a.csv")
    rows = list(csv.DictReader(done.path.open(newline="")))
    assert {row["question"] for row in rows} == {"one\rtwo", "b"} and len(rows) == 2
    assert verify(done.path).ok, verify(done.path).messages


@pytest.mark.parametrize("everything", [False, True])
def test_no_cell_of_a_csv_is_run_by_a_spreadsheet(tmp_path: Path, everything: bool) -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'=1", "plain", "1 = 1"]
    rows = [{"question": f"q{i}", "t": t, "=h": -i, "l": [t]} for i, t in enumerate(texts)]
    run = run_of(tmp_path, rows)

    def made(name: str, **options: bool) -> Exported:
        out = tmp_path / name
        return (
            export_all(run, "default", out, **options)
            if everything
            else export(run, None, out, **options)
        )

    done, kept = made("a.csv"), made("b.csv", keep_formulas=True)
    cells = {row["t"]: row for row in csv.DictReader(done.path.open(newline=""))}
    assert set(cells) == {*(f"'{t}" for t in texts[:5]), *texts[5:]}
    assert {row["'=h"] for row in cells.values()} == {str(-i) for i in range(8)}, "numbers stay"
    assert not any(row["l"].startswith(("=", "+", "-", "@")) for row in cells.values())
    assert {row["t"] for row in csv.DictReader(kept.path.open(newline=""))} == set(texts)
    for each in (done, kept):
        assert verify(each.path).ok, verify(each.path).messages
    assert "apostrophe" in done.card.read_text() and "apostrophe" not in kept.card.read_text()
    done.path.write_bytes(kept.path.read_bytes())
    assert "rows" in verify(done.path).kinds, "the manifest says that they are quoted"


def test_text_that_utf8_cannot_hold_is_refused_by_csv(tmp_path: Path) -> None:
    frame = score_frame([{"source": "s", "question": "q", "answer": "a"}])
    frame["original"] = [json.dumps({"question": "q", "extra": "\ud800"})]
    run = selected(make_run(tmp_path / "run", frame=frame, parts=1), fraction=1.0)
    with pytest.raises(UserError, match="row 1 has text that UTF-8 cannot hold: export as jsonl"):
        export(run, None, tmp_path / "a.csv")
    assert verify(export(run, None, tmp_path / "a.jsonl").path).ok


def test_odd_texts_survive(tmp_path: Path) -> None:
    texts = ["line\u2028separator", 'tab\tquote" back\\slash', "\x00 nul", "😀 \u202e rtl", "</s>"]
    run = run_of(tmp_path, [{"question": f"{i} {t}", "t": t} for i, t in enumerate(texts)])
    data = export(run, None, tmp_path / "a.jsonl").path.read_bytes()
    rows = [json.loads(line) for line in data.split(b"\n")[:-1]]
    assert {row["t"] for row in rows} == set(texts)
    assert {
        r["t"] for r in pq.read_table(export(run, None, tmp_path / "a.parquet").path).to_pylist()
    } == set(texts)


def test_messages_load_as_a_dataset_though_columns_clash(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    originals = [
        {"question": "q0", "answer": "a0", "level": "hard", "prompt": "templated q0"},
        {"question": "q1", "answer": "a1", "level": 3, "text": "q1 a1"},
    ]
    done = export(run_of(tmp_path, originals), None, tmp_path / "chat.jsonl", "messages")
    left_out = json.loads(done.manifest.read_text())["export"]["left_out"]
    assert set(left_out) == {"level", "prompt", "text"}
    loaded = datasets.load_dataset(
        "json", data_files=str(done.path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert set(loaded.column_names) == {"messages", "question", "answer", *GROUP}
    assert loaded[0]["messages"][1]["role"] == "assistant"


def test_messages_need_responses(tmp_path: Path) -> None:
    run = run_of(tmp_path, [{"question": "q0"}, {"question": "q1"}], response=["a", None])
    done = export(run, None, tmp_path / "a.jsonl", "messages")
    assert done.rows == 1 and "1 of 2 rows have no response and were left out" in done.notes[0]
    assert [row["question"] for row in read_lines(done.path)] == ["q0"]
    assert verify(done.path).ok and "1 row of the draw without a response" in done.card.read_text()
    silent = run_of(tmp_path / "silent", [{"question": "q0"}], response=[None])
    with pytest.raises(UserError, match="no row has a response, and messages needs one"):
        export(silent, None, tmp_path / "b.jsonl", "messages")
    assert not list(tmp_path.glob("b.jsonl*"))


def test_a_dataset_info_that_is_not_ours_stays(run: Run, tmp_path: Path) -> None:
    info = tmp_path / "dataset_info.json"
    info.write_text(json.dumps({"alpaca": {"file_name": "alpaca.json"}}))
    export(run, None, tmp_path / "a.jsonl", "messages")
    assert set(json.loads(info.read_text())) == {"alpaca", "a"}
    info.write_text('{"features": null, "citation": ""}')
    done = export(run, None, tmp_path / "a.jsonl", "messages")
    assert json.loads(info.read_text()) == {"features": None, "citation": ""} and done.notes


def test_every_format_has_a_name_and_an_ending_means_its_own() -> None:
    assert set(LABELS) == set(get_args(Format))
    assert [format_of(end) for end in (".JSONL", ".json", ".csv", ".parquet", ".txt", "")] == [
        *("jsonl", "jsonl", "csv", "parquet", "jsonl", "jsonl")
    ]
