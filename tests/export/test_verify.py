"""Verification: an honest export passes; every kind of tampering has its own message."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.sample import Sample
from circuitseer_core.errors import UserError
from circuitseer_core.export.formats import FORMATS
from circuitseer_core.export.manifest import seal
from circuitseer_core.export.verify import verify
from circuitseer_core.export.write import export
from circuitseer_core.runs import texts as run_texts
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection import review
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.exported import selected
from tests.support.run_factory import make_rows, make_run, score_frame, write_scores

NAMES = {"parquet": "a.parquet", "csv": "a.csv", "datasets": "folder"}


def edit(path: Path, change: Callable[[dict[str, Any]], None], *, resealed: bool = False) -> None:
    manifest = json.loads(path.read_text())
    change(manifest)
    if resealed:
        manifest["seal"] = seal(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("form", FORMATS)
def test_an_honest_export_passes(run: Run, tmp_path: Path, form: str) -> None:
    if form == "datasets":
        pytest.importorskip("datasets")
    done = export(run, None, tmp_path / "out" / NAMES.get(form, "a.jsonl"), form)  # type: ignore[arg-type]
    for path in (done.path, done.manifest):
        result = verify(path)
        assert result.ok and result.rows == 20, result.messages


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0},
        {"temperature": "inf"},
        {"target_ess": 0.2},
        {"length_control": "within-bins", "stratify": "equal", "max_per_source": 9},
        {"tokens": 900, "token_field": "both", "stratify": "proportional"},
        {"scorer": "focus", "seed": 12345, "duplicates": "keep"},
    ],
)
def test_every_way_of_drawing_can_be_derived_again(
    tmp_path: Path, options: dict[str, object]
) -> None:
    run = selected(make_run(tmp_path / "run"), **options)
    assert verify(export(run, None, tmp_path / "a.jsonl").path).ok


def test_lists_and_reviews_may_change_after_the_draw(tmp_path: Path) -> None:
    rows = make_rows(120)
    rows[9]["question"] = rows[8]["question"]
    run = make_run(tmp_path / "run", rows)
    ids = run.scores("default", ["id"])["id"].tolist()
    bench = tmp_path / "bench.jsonl"
    bench.write_text("".join(json.dumps({"question": r["question"]}) + "\n" for r in rows[:5]))
    review.append(run.path, {"kind": "drop", "id": ids[20]})
    review.append(run.path, {"kind": "pin", "id": ids[21]})
    selected(run, fraction=0.5, exclude=(str(bench), ids[30]), include=(ids[31],))
    assert run.selection("default").counts.duplicate == 1
    done = export(run, None, tmp_path / "a.jsonl")
    bench.unlink()
    review.append(run.path, {"kind": "undrop", "id": ids[20]})
    review.append(run.path, {"kind": "pin", "id": ids[40]})
    assert verify(done.path).ok, verify(done.path).messages
    lists = run.selection_dir("default") / "lists.parquet"
    pd.read_parquet(lists).iloc[3:].to_parquet(lists)
    result = verify(done.path)
    assert "lists" in result.kinds and "not the ones drawn with" in " ".join(result.messages)
    pd.DataFrame({"x": [1]}).to_parquet(lists)
    assert "lists.parquet cannot be read" in " ".join(verify(done.path).messages)
    lists.unlink()
    assert "lists.parquet is missing" in " ".join(verify(done.path).messages)


def test_new_shards_and_another_place_pass(run: Run, tmp_path: Path) -> None:
    done = export(run, None, tmp_path / "out" / "a.jsonl")
    frame = pd.concat([pd.read_parquet(p) for p in run.score_parts()], ignore_index=True)
    order = np.random.default_rng(0).permutation(len(frame))
    write_scores(run, frame.iloc[order], parts=5)
    assert verify(done.path).ok
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(tmp_path / "out", moved / "out")
    shutil.move(run.path, moved / "run")
    assert verify(moved / "out" / "a.jsonl").ok, "run and export moved together"


def test_a_tampered_row_is_found_and_named(run: Run, tmp_path: Path) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    lines = done.path.read_text().splitlines(keepends=True)
    row = json.loads(lines[4])
    row["answer"] = "42"
    lines[4] = json.dumps(row) + "\n"
    done.path.write_text("".join(lines))
    result = verify(done.path)
    sample = run.selection_ids("default")["id"][4]
    assert not result.ok and result.kinds == ["file", "rows"] and result.rows == 19
    assert result.messages[0] == "a.jsonl was changed after the export (its hash is another)"
    assert result.messages[1] == f"row 5 ({sample}): 'answer' is not what the run gives"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "row 20 .*: is missing from the export"),
        (lambda lines: [*lines, lines[0]], "row 21: does not belong to the subset"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "row 1 .*: '(source|question)' is not"),
        (lambda lines: ["{broken\n", *lines[1:]], "row 1 .*: has no column 'source'"),
        (lambda lines: [lines[0].replace("{", '{"new": 1, ', 1), *lines[1:]], "has a column 'new'"),
        (lambda lines: lines[::-1], "and 17 more rows differ"),
    ],
)
def test_every_way_of_touching_the_rows_is_found(
    run: Run, tmp_path: Path, change: Callable[[list[str]], list[str]], message: str
) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    done.path.write_text("".join(change(done.path.read_text().splitlines(keepends=True))))
    result = verify(done.path)
    assert result.kinds[0] == "file" and "rows" in result.kinds
    assert any(re.search(message, line) for line in result.messages), result.messages


def test_a_tampered_cell_in_parquet_and_datasets(run: Run, tmp_path: Path) -> None:
    done = export(run, None, tmp_path / "a.parquet")
    frame = pd.read_parquet(done.path)
    frame.loc[2, "level"] += 1
    frame.to_parquet(done.path, index=False)
    result = verify(done.path)
    assert result.kinds == ["file", "rows"] and "row 3" in result.messages[1]
    done.path.write_bytes(b"nothing")
    assert "no Parquet export any more" in verify(done.path).messages[1]
    pytest.importorskip("datasets")
    folder = export(run, None, tmp_path / "ds", "datasets").path
    next(folder.glob("data-*.arrow")).unlink()
    result = verify(folder)
    assert result.kinds == ["file", "rows"] and "is missing" in result.messages[0]


def test_a_forged_hash_does_not_help(run: Run, tmp_path: Path) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    done.path.write_text(done.path.read_text().replace("what is", "what was", 1))
    digest = hashlib.sha256(done.path.read_bytes()).hexdigest()
    edit(done.manifest, lambda m: m["files"][0].update(sha256=digest), resealed=True)
    assert verify(done.path).kinds == ["rows"]


@pytest.mark.parametrize("resealed", [False, True])
def test_another_seed_in_the_manifest(run: Run, tmp_path: Path, resealed: bool) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    edit(done.manifest, lambda m: m["selection"]["settings"].update(seed=1), resealed=resealed)
    result = verify(done.path)
    assert result.kinds == ([] if resealed else ["manifest"]) + ["settings", "draw"]
    if not resealed:
        assert "edited after the export: its seal is broken" in result.messages[0]
    assert "the seed is 1 in the manifest, 0 in the run" in result.messages
    assert "settings (seed 1) draw another subset than was exported" in result.messages[-1]
    assert result.messages[-1].endswith("of 20 samples differ")


def test_changed_scores(run: Run, tmp_path: Path) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    frame = pd.concat([pd.read_parquet(p) for p in run.score_parts()], ignore_index=True)
    unchosen = ~frame["id"].isin(run.selection_ids("default")["id"])
    changed = frame.copy()
    changed.loc[unchosen.idxmax(), "variance"] *= 1 + 1e-12
    write_scores(run, changed)
    result = verify(done.path)
    assert (
        result.kinds == ["pool"]
        and "has changed since the draw (other scores)" in result.messages[0]
    )
    write_scores(run, frame.iloc[:-10])
    assert "(190 rows, 200 then)" in verify(done.path).messages[0]
    write_scores(run, frame.assign(variance=frame["focus"]))
    assert verify(done.path).kinds == ["pool", "draw"]


def test_changed_texts_in_the_run(run: Run, tmp_path: Path) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    frame = pd.concat([pd.read_parquet(p) for p in run.score_parts()], ignore_index=True)
    write_scores(run, frame.assign(original=frame["original"].str.replace("####", "##")))
    result = verify(done.path)
    assert (
        result.kinds == ["rows"] * 4 and "'answer' is not what the run gives" in result.messages[0]
    )


def test_data_files_of_one_name(tmp_path: Path) -> None:
    """Two sources, each with a train.jsonl: unchanged they verify, a changed one is named."""
    specs = []
    for number, name in enumerate(("gsm", "aqua")):
        data = tmp_path / name / "train.jsonl"
        data.parent.mkdir()
        rows = make_rows(30, seed=number, sources=(name,))
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        specs.append(f"{name}={data}")
    corpus = Corpus(specs)
    samples = [sample for sample in corpus if isinstance(sample, Sample)]
    frame = score_frame(make_rows(len(samples))).assign(id=[sample.id for sample in samples])
    frame["original"] = [json.dumps(sample.original) for sample in samples]
    run = make_run(tmp_path / "run", frame=frame, data=[corpus.fingerprint()], data_specs=specs)
    done = export(selected(run), None, tmp_path / "a.jsonl")
    assert verify(done.path).messages == []
    second = tmp_path / "aqua" / "train.jsonl"
    second.write_text(second.read_text().replace("Question 7:", "Question seven:"))
    assert verify(done.path).messages == ["data file train.jsonl has changed since it was scored"]


def test_changed_data_files(tmp_path: Path) -> None:
    data = tmp_path / "gsm.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in make_rows(60)))
    corpus = Corpus([str(data)])
    ids = [entry.id for entry in corpus if isinstance(entry, Sample)]
    frame = score_frame(make_rows(60)).assign(id=ids)
    run = make_run(
        tmp_path / "run", frame=frame, data=[corpus.fingerprint()], data_specs=[str(data)]
    )
    done = export(selected(run), None, tmp_path / "a.jsonl")
    result = verify(done.path)
    assert result.ok and not result.notes
    data.write_text(data.read_text().replace("Question 7:", "Question seven:"))
    result = verify(done.path)
    assert result.kinds == ["data"]
    assert result.messages == ["data file gsm.jsonl has changed since it was scored"]
    data.unlink()
    result = verify(done.path)
    assert result.ok and "cannot be read again" in result.notes[0]


def test_a_missing_run(run: Run, tmp_path: Path) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    shutil.move(run.path, tmp_path / "kept")
    result = verify(done.path)
    assert result.kinds == ["run"] and "the run 'run' is not at" in result.messages[0]
    assert verify(done.path, run=tmp_path / "kept").ok


def test_another_model_or_other_heads(run: Run, tmp_path: Path) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    path = run.scores_dir() / "settings.json"
    settings = json.loads(path.read_text())
    settings["heads"] = [[0, 1]]
    settings["model"]["weights_hash"] = "f" * 16
    path.write_text(json.dumps(settings))
    result = verify(done.path)
    assert result.kinds == ["run", "run"]
    assert "weights_hash ffffffffffffffff, not 0000000000000000" in result.messages[0]
    assert "other heads" in result.messages[1]


def test_a_selection_drawn_again_under_the_same_name(run: Run, tmp_path: Path) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    select_run(run, SelectionSettings.of(seed=5))
    summary = run.selection_dir("default") / "selection.json"
    stored = json.loads(summary.read_text()) | {"created": "2031-01-01T00:00:00+00:00"}
    summary.write_text(json.dumps(stored))
    result = verify(done.path)
    assert result.ok and "drawn again since the export" in result.notes[-1]
    shutil.rmtree(run.selection_dir("default"))
    assert verify(done.path).ok


def test_duplicates_removed_by_text_need_the_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_texts, "demo_texts", dict)
    rows = make_rows(40)
    rows[3]["question"] = rows[4]["question"]
    run = selected(make_run(tmp_path / "run", rows))
    done = export(run, None, tmp_path / "a.jsonl")
    frame = pd.concat([pd.read_parquet(p) for p in run.score_parts()], ignore_index=True)
    write_scores(run, frame.assign(prompt=pd.Series([None] * 40, dtype="string")))
    result = verify(done.path)
    assert (
        result.kinds == ["draw"] and "duplicates were removed by their texts" in result.messages[0]
    )


def test_what_is_no_export(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no export at"):
        verify(tmp_path / "gone.jsonl")
    stray = tmp_path / "stray.jsonl"
    stray.write_text("{}\n")
    with pytest.raises(UserError, match="no manifest at"):
        verify(stray)
    stray.with_name("stray.jsonl.manifest.json").write_text("{}")
    with pytest.raises(UserError, match="is not a manifest of an export"):
        verify(stray)
    done = export(run, None, tmp_path / "a.jsonl")
    done.path.unlink()
    result = verify(done.path)
    assert result.kinds == ["file"] and "a.jsonl is missing" in result.messages[0]


def test_another_machine_may_round_the_last_digit(run: Run, tmp_path: Path) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    rows = [json.loads(line) for line in done.path.read_text().splitlines()]
    for row in rows:
        row["circuitseer_probability"] *= 1 + 1e-15
    done.path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert verify(done.path).kinds == ["file"], "rows agree, bytes do not"


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b"\xff", b"[]", b"", b'{"a": 1' + b"0" * 5000 + b"}"]
)
def test_a_line_of_anybody_is_a_row_that_differs(run: Run, tmp_path: Path, line: bytes) -> None:
    done = export(run, None, tmp_path / "a.jsonl")
    done.path.write_bytes(line + b"\n" + done.path.read_bytes())
    result = verify(done.path)
    assert not result.ok and "file" in result.kinds


@pytest.mark.parametrize(
    "state", [[], {}, {"_data_files": [3]}, {"_data_files": [{"filename": "../../other.arrow"}]}]
)
def test_a_datasets_folder_of_anybody_is_read_as_data_is(
    run: Run, tmp_path: Path, state: Any
) -> None:
    pytest.importorskip("datasets")
    folder = export(run, None, tmp_path / "ds", "datasets").path
    (folder / "state.json").write_text(json.dumps(state))
    assert "no datasets export any more" in verify(folder).messages[-1]


def test_a_manifest_names_no_file_elsewhere(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    done = export(run, None, tmp_path / "ds", "datasets")
    edit(done.manifest, lambda m: m["files"][0].update(name="../../etc/passwd"), resealed=True)
    with pytest.raises(UserError, match="is no name of what lies in"):
        verify(done.path)
