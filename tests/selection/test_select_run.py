"""Selections of a run folder: what is written, what lists and judgements by eye do, sharding."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.data.sample import Sample
from circuitseer_core.errors import UserError
from circuitseer_core.runs import texts as run_texts
from circuitseer_core.runs.selection_records import SelectionRecord
from circuitseer_core.selection import review
from circuitseer_core.selection.select import select
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.run_factory import make_rows, make_run, score_frame, write_scores


def test_a_selection_is_written_and_read_back(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    summary = select_run(run, SelectionSettings.of(name="first", fraction=0.2))
    assert run.selection("first") == SelectionRecord.model_validate(summary.to_json())
    ids = run.selection_ids("first")
    assert len(ids) == summary.counts.selected == summary.diagnostics.rows == 40
    assert ids["rank"].tolist() == list(range(1, 41)) and ids["key"].is_monotonic_decreasing
    assert summary.counts.rejected == 3 and summary.counts.tokens == ids["tokens"].sum()
    same = select(run.scores("default"), fraction=0.2)
    assert same["id"].tolist() == ids["id"].tolist(), "the Python call draws the same subset"
    assert run.selections() == ["first"] and run.stage_state()["select"] == "done"
    assert not list(run.path.glob(".selection*")), "nothing is left aside"


def test_order_and_shards_change_nothing(tmp_path: Path) -> None:
    frame = score_frame(make_rows(150))
    one = make_run(tmp_path / "one", frame=frame, parts=1)
    order = np.random.default_rng(0).permutation(150)
    other = make_run(tmp_path / "other", frame=frame.iloc[order].reset_index(drop=True), parts=7)
    settings = SelectionSettings.of(length_control="within-bins", stratify="equal")
    first, second = (select_run(run, settings) for run in (one, other))
    pd.testing.assert_frame_equal(one.selection_ids("default"), other.selection_ids("default"))
    assert first.pool_hash == second.pool_hash
    assert first.ids_hash == second.ids_hash


def test_pins_drops_and_tags_are_honoured(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    plain = select_run(run, SelectionSettings.of(count=10))
    drawn = run.selection_ids("default")["id"].tolist()
    outside = sorted(set(run.scores("default", ["id"])["id"]) - set(drawn))
    review.append(run.path, {"kind": "drop", "id": drawn[0]})
    review.append(run.path, {"kind": "pin", "id": outside[0]})
    review.append(run.path, {"kind": "tag", "id": drawn[1], "tag": "wrong answer"})
    review.append(run.path, {"kind": "tag", "id": outside[1], "tag": "nice"})
    tags = {"exclude_tags": ("wrong answer",), "include_tags": ("nice",)}
    summary = select_run(run, SelectionSettings.of(name="eyes", count=10, **tags))
    ids = run.selection_ids("eyes")
    assert set(ids["id"][:2]) == set(outside[:2]) and ids["included"].sum() == 2
    assert not {drawn[0], drawn[1]} & set(ids["id"])
    assert summary.counts.dropped == 2 and summary.counts.included == 2
    lists = pd.read_parquet(run.selection_dir("eyes") / "lists.parquet")
    assert lists.groupby("rule").size().to_dict() == {"drop": 2, "include": 2}
    without = select_run(run, SelectionSettings.of(name="blind", count=10, review=False))
    assert without.ids_hash == plain.ids_hash


def test_the_probe_can_be_kept_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    probe = run.scores("default", ["id", "source"]).iloc[:30].assign(text="rendered")
    probe.to_parquet(run.probe_path)
    settings = SelectionSettings.of(fraction=1.0, exclude=(str(run.probe_path),))
    summary = select_run(run, settings)
    assert not set(probe["id"]) & set(run.selection_ids("default")["id"])
    assert summary.counts.excluded_id == 30 and summary.counts.selected == 170
    assert summary.lists.files[0].ids == 30


def test_duplicate_prompts_are_found_across_shards(tmp_path: Path) -> None:
    rows = make_rows(60)
    rows[50]["question"] = "  " + rows[3]["question"].upper()
    run = make_run(tmp_path / "run", rows, parts=6)
    summary = select_run(run, SelectionSettings.of(fraction=1.0))
    assert summary.counts.duplicate == 1 and summary.prompts_compared
    kept = select_run(run, SelectionSettings.of(name="all", fraction=1.0, duplicates="keep"))
    assert kept.counts.selected == 60


def test_a_run_without_texts_takes_them_from_the_demo_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(40)
    rows[7]["question"] = rows[8]["question"]
    frame = score_frame(rows)
    known = {
        row.id: Sample(row.id, row.source, row.prompt, row.response, json.loads(row.original))
        for row in frame.itertuples()
    }
    bare = frame.assign(prompt=None, response=None, original=None).astype(
        dict.fromkeys(("prompt", "response", "original"), "string")
    )
    run = make_run(tmp_path / "run", frame=bare)
    monkeypatch.setattr(run_texts, "demo_texts", dict)
    summary = select_run(run, SelectionSettings.of(fraction=1.0))
    assert not summary.prompts_compared and summary.counts.duplicate == 0
    monkeypatch.setattr(run_texts, "demo_texts", lambda: known)
    summary = select_run(run, SelectionSettings.of(fraction=1.0))
    assert summary.prompts_compared and summary.counts.duplicate == 1


def test_a_failed_draw_leaves_the_old_selection(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    before = select_run(run, SelectionSettings.of())
    with pytest.raises(UserError, match="500 samples were asked for and 200 can be drawn"):
        select_run(run, SelectionSettings.of(count=500))
    assert run.selection("default").ids_hash == before.ids_hash


def test_what_cannot_be_drawn_from_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(UserError, match="no scorer 'perplexity' in this run; it has: variance, "):
        select_run(run, SelectionSettings.of(scorer="perplexity"))
    with pytest.raises(UserError, match="no scores named 'other'"):
        select_run(run, SelectionSettings.of(scores="other"))
    path = run.scores_dir() / "settings.json"
    path.write_text(path.read_text().replace('"done"', '"running"'))
    with pytest.raises(UserError, match="not finished"):
        select_run(run, SelectionSettings.of())


def test_texts_are_fetched_for_the_chosen_rows_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    from circuitseer_core.runs.texts import chosen_texts

    run = make_run(tmp_path / "run", parts=4)  # 50 rows a part in row groups of 16
    asked: list[int] = []
    real = pq.ParquetFile.read_row_group

    def counted(self: pq.ParquetFile, i: int, **options: object) -> object:
        asked.append(i)
        return real(self, i, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    ids = run.scores("default", ["id"])["id"]
    table = chosen_texts(run, "default", [ids[160], ids[3]])
    assert table["id"].to_pylist() == [ids[160], ids[3]]
    assert len(asked) == 2, "one row group for each of the two"
    with pytest.raises(UserError, match="1 chosen samples are no longer in scoring"):
        chosen_texts(run, "default", ["gone/1"])


def test_selecting_needs_no_model_library(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    code = f"""
import sys
for name in ("torch", "transformers", "streamlit", "duckdb", "datasets", "plotly"):
    sys.modules[name] = None
from circuitseer_core.export.write import export
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.export.verify import verify
run = Run.open({str(run.path)!r})
select_run(run, SelectionSettings.of())
export(run, None, {str(tmp_path / "out.jsonl")!r})
assert verify({str(tmp_path / "out.jsonl")!r}).ok
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_scores_of_another_pool_have_another_hash(tmp_path: Path) -> None:
    frame = score_frame(make_rows(50))
    run = make_run(tmp_path / "run", frame=frame)
    first = select_run(run, SelectionSettings.of()).pool_hash
    for column, value in (("variance", 9.0), ("n_tokens", 1), ("source", "other"), ("id", "x/1")):
        changed = frame.copy()
        changed.loc[5, column] = value
        write_scores(run, changed)
        assert select_run(run, SelectionSettings.of()).pool_hash != first, column
    write_scores(run, frame, parts=9)
    assert select_run(run, SelectionSettings.of()).pool_hash == first


def test_rows_without_a_response_can_be_left_to_others(tmp_path: Path) -> None:
    frame = score_frame(make_rows(60))
    frame["n_response_tokens"] = frame["n_response_tokens"].astype("Int32")
    frame.loc[::3, "n_response_tokens"] = pd.NA
    run = make_run(tmp_path / "run", frame=frame)
    plain = select_run(run, SelectionSettings.of(name="all", count=30))
    assert plain.counts.no_response == 0
    some = select_run(run, SelectionSettings.of(name="some", count=30, require_response=True))
    assert some.counts.no_response == 20 and some.counts.eligible == 40
    silent = set(frame.loc[::3, "id"])
    assert silent & set(run.selection_ids("all")["id"])
    assert not silent & set(run.selection_ids("some")["id"])
    without = frame.drop(columns="n_response_tokens")
    other = make_run(tmp_path / "other", frame=without)
    with pytest.raises(UserError, match="which rows have a response is not known"):
        select_run(other, SelectionSettings.of(count=3, require_response=True))
