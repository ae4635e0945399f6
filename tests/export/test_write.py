"""Exports: untouched originals and one group, whole or absent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from circuitseer_core.data.sample import Sample
from circuitseer_core.errors import UserError
from circuitseer_core.export.verify import verify
from circuitseer_core.export.write import export
from circuitseer_core.runs import texts as run_texts
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.exported import GROUP, exported_bytes, read_lines, run_of, selected
from tests.support.run_factory import make_rows, make_run, score_frame


def test_jsonl_has_the_original_row_and_one_group(run: Run, tmp_path: Path) -> None:
    done = export(run, "default", tmp_path / "out" / "subset.jsonl")
    ids = run.selection_ids("default")
    originals = run.scores("default", ["id", "original"]).set_index("id")["original"]
    rows = read_lines(done.path)
    assert done.rows == len(rows) == len(ids) == 20 and done.bytes == done.path.stat().st_size
    for row, kept in zip(rows, ids.itertuples(), strict=True):
        original = json.loads(originals[kept.id])
        assert list(row) == [*original, *GROUP], "their order stays"
        assert {k: row[k] for k in original} == original
        group = (kept.id, kept.score, kept.rank, kept.probability, kept.source)
        assert tuple(row[name] for name in GROUP) == group
    assert "✓" in done.path.read_text(encoding="utf-8"), "text stays readable"


def test_exports_are_the_same_bytes_every_time(run: Run, tmp_path: Path) -> None:
    first = export(run, None, tmp_path / "a.jsonl").path.read_bytes()
    select_run(run, SelectionSettings.of())
    assert export(run, None, tmp_path / "b.jsonl").path.read_bytes() == first
    chat = export(run, None, tmp_path / "c.jsonl", "messages").path.read_bytes()
    assert exported_bytes(run, "default", "messages") == chat
    table = export(run, None, tmp_path / "d.parquet").path.read_bytes()
    assert exported_bytes(run, "default", "parquet") == table


def test_a_subset_of_a_subset_keeps_both_groups(tmp_path: Path) -> None:
    originals = [{"question": f"q{i}", "circuitseer_score": i, "x": 1} for i in range(4)]
    run = run_of(tmp_path, originals)
    row = read_lines(export(run, None, tmp_path / "a.jsonl").path)[0]
    assert "circuitseer2_score" in row and row["circuitseer_score"] == int(row["question"][1:])


def test_targets_are_checked_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "data.jsonl").write_text("a person's own data")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "default.jsonl").write_text("the same in a folder")
    cases = [
        (tmp_path / "full", "datasets", "not empty and no earlier export"),
        (tmp_path / "file", "datasets", "is a file"),
        (tmp_path / "a.parquet", "jsonl", "does not look like jsonl"),
        (tmp_path / "a.csv", "parquet", "does not look like parquet"),
        (tmp_path / "file" / "a.jsonl", "jsonl", "cannot write"),
        (tmp_path / "a.jsonl", "xml", "no format 'xml'"),
        (tmp_path / "data.jsonl", "jsonl", "is there and no earlier export"),
        (tmp_path / "data", "jsonl", "default.jsonl is there and no earlier export"),
    ]
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    for out, form, message in cases:
        with pytest.raises(UserError, match=message):
            export(run, None, out, form)  # type: ignore[arg-type]
    assert sorted(str(p) for p in tmp_path.rglob("*")) == before
    inside = export(run, None, tmp_path / "full", "messages")
    assert inside.path == tmp_path / "full" / "default.messages.jsonl"


def test_a_write_that_fails_leaves_no_trace(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.jsonl"
    export(run, None, target)
    before = {p.name: p.read_bytes() for p in tmp_path.glob("*") if p.is_file()}

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(UserError, match="cannot write .*: No space left on device"):
        export(run, None, target)
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*") if p.is_file()} == before


@pytest.mark.parametrize("form", ["jsonl", "datasets"])
def test_hidden_files_beside_an_export_are_the_users(run: Run, tmp_path: Path, form: str) -> None:
    home = tmp_path / "home"
    for name in (".mail.20240101.tmp", ".notes.99.tmp", ".bashrc.20240101.old"):
        (home / name).mkdir(parents=True)
        (home / name / "precious").write_text("x")
    export(run, None, home / f"subset.{form}", form)
    kept = {path.parent.name for path in home.glob(".*/precious")}
    assert kept == {".mail.20240101.tmp", ".notes.99.tmp", ".bashrc.20240101.old"}


def test_an_export_that_was_killed_can_be_done_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whatever rename: what is left is never taken for somebody else's file."""
    target, real = tmp_path / "out" / "a.jsonl", os.replace
    for stop in range(4):
        calls = 0

        def dying(*names: Any, last: int = stop) -> None:
            nonlocal calls
            calls += 1
            if calls > last:
                raise KeyboardInterrupt
            real(*names)

        monkeypatch.setattr(os, "replace", dying)
        if stop < 3:  # manifest, data, card
            with pytest.raises(KeyboardInterrupt):
                export(run, None, target)
        else:
            assert verify(export(run, None, target).path).ok


def test_an_altered_selection_is_not_exported(run: Run, tmp_path: Path) -> None:
    path = run.selection_dir("default") / "ids.parquet"
    pd.read_parquet(path).iloc[1:].to_parquet(path)
    with pytest.raises(UserError, match="altered after the draw"):
        export(run, None, tmp_path / "a.jsonl")
    with pytest.raises(UserError, match="no selection named 'other'"):
        export(run, "other", tmp_path / "a.jsonl")


def test_no_selection_yet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no selection yet: run select"):
        export(make_run(tmp_path / "run"), None, tmp_path / "a.jsonl")


def test_texts_of_the_demo_run_come_from_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = score_frame(make_rows(30))
    known = {
        row.id: Sample(row.id, row.source, row.prompt, row.response, json.loads(row.original))
        for row in frame.itertuples()
    }
    bare = frame.assign(prompt=None, response=None, original=None).astype(
        dict.fromkeys(("prompt", "response", "original"), "string")
    )
    monkeypatch.setattr(run_texts, "demo_texts", lambda: known)
    with_texts = selected(make_run(tmp_path / "full", frame=frame))
    without = selected(make_run(tmp_path / "bare", frame=bare))
    assert exported_bytes(without, "default") == exported_bytes(with_texts, "default")
    monkeypatch.setattr(run_texts, "demo_texts", dict)
    monkeypatch.setattr(run_texts, "available", lambda: "the demo data needs X: pip install X")
    with pytest.raises(UserError, match="numbers without texts: the demo data needs X: pip"):
        export(without, None, tmp_path / "a.jsonl")


def test_a_scoring_without_the_rows_as_they_came_is_a_line(tmp_path: Path) -> None:
    frame = score_frame(make_rows(30)).drop(columns="original")
    run = make_run(tmp_path / "run", frame=frame)
    select_run(run, SelectionSettings.of(fraction=0.5))
    with pytest.raises(UserError, match="no column 'original': the texts are not at hand"):
        export(run, "default", tmp_path / "out.jsonl")
