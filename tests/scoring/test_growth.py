"""Files added under a finished scoring: only their rows are scored, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from circuitseer_core.errors import Cancelled, UserError
from circuitseer_core.runs.columns import ATTENTION_SCORERS, DRAWS
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import AppliedCalibration, ScoringRecord
from circuitseer_core.scoring import window_scorer
from circuitseer_core.scoring.score import score
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.scoring.windows import Cut, windows
from tests.support.detected_run import detected_run, questions, write_rows


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return detected_run(tmp_path)


def add(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(exist_ok=True)
    write_rows(folder / name, rows)


def go(run: Run, data: Path, **options: Any) -> ScoringRecord:
    fixed = {"heads": "3", "shard_rows": 16, "token_budget": 600, "device": "cpu"}
    return score(run, ScoreSettings(data=[str(data)], **(fixed | options)), progress=False)


def whole(run: Run, name: str = "default") -> pd.DataFrame:
    return pa.concat_tables([pq.read_table(p) for p in run.score_parts(name)]).to_pandas()


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Every row, by id: texts and counts as they are, scores to rounding."""
    one, other = (frame.sort_values("id", ignore_index=True) for frame in (one, other))
    assert list(one.columns) == list(other.columns)
    controls = [f"control_{name}_{draw}" for name in ATTENTION_SCORERS for draw in range(DRAWS)]
    numbers = [*ATTENTION_SCORERS, "sink_share", "length", "random", *controls]
    for name in numbers:
        assert np.allclose(one[name], other[name], rtol=1e-4, equal_nan=True), name
    exact = ["id", "source", "n_tokens", "n_response_tokens", "prompt", "response", "original"]
    pd.testing.assert_frame_equal(one[exact], other[exact])


def encoded_windows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of every window that is tokenised from now on."""
    encoded: list[int] = []
    plain = window_scorer.encode_window

    def counted(tokenizer: Any, window: Any, *rest: Any) -> Any:
        encoded.append(window.size)
        return plain(tokenizer, window, *rest)

    monkeypatch.setattr(window_scorer, "encode_window", counted)
    return encoded


def test_new_files_are_scored_alone_and_equal_a_scoring_from_scratch(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = questions(60)
    pool = tmp_path / "pool"
    add(pool, "b.jsonl", [*rows[:25], {"question": ""}, rows[0]])
    before = go(run, pool)
    parts = {part: part.read_bytes() for part in run.score_parts()}
    assert (before.rows, before.rejected, len(parts)) == (26, 1, 2)
    add(pool, "a.jsonl", [rows[0], *rows[25:40], {"question": 3}])  # before b in name order
    encoded = encoded_windows(monkeypatch)
    after = go(run, pool)
    assert encoded == [16, 1], "the rows of the new file and no others"
    assert (after.rows, after.rejected, after.state) == (42, 2, "done")
    assert after.grown_at == [27] and [f.name for f in after.data[0].files] == [
        "b.jsonl",
        "a.jsonl",
    ]
    assert {part: part.read_bytes() for part in parts} == parts
    add(pool, "c.jsonl", rows[40:])
    encoded.clear()
    last = go(run, pool)
    assert encoded == [16, 4] and last.grown_at == [27, 44] and last.rows == 62
    encoded.clear()
    assert go(run, pool) == last and not encoded, "done is done"
    scratch = go(run, pool, name="scratch")
    assert (scratch.rows, scratch.rejected, scratch.grown_at) == (last.rows, last.rejected, [])
    same(whole(run), whole(run, "scratch"))
    assert set(run.rejects()["id"]) == set(run.rejects("scratch")["id"])


def test_a_growth_that_was_stopped_goes_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = questions(50)
    pool = tmp_path / "pool"
    add(pool, "a.jsonl", rows[:10])
    go(run, pool)
    add(pool, "b.jsonl", rows[10:])
    plain = window_scorer.encode_window

    def stopped(tokenizer: Any, window: Any, *rest: Any) -> Any:
        if window.index == 2:
            raise Cancelled("enough")
        return plain(tokenizer, window, *rest)

    monkeypatch.setattr(window_scorer, "encode_window", stopped)
    with pytest.raises(Cancelled):
        go(run, pool)
    assert run.scoring().state == "running" and run.scoring().grown_at == [10]
    add(pool, "c.jsonl", rows[:1])
    with pytest.raises(UserError, match="is not finished: finish it with the data"):
        go(run, pool)
    (pool / "c.jsonl").unlink()
    monkeypatch.setattr(window_scorer, "encode_window", plain)
    assert go(run, pool).rows == 50
    go(run, pool, name="scratch")
    same(whole(run), whole(run, "scratch"))


@pytest.mark.parametrize("change", ["changed", "gone", "fields"])
def test_other_data_is_no_growth(run: Run, tmp_path: Path, change: str) -> None:
    rows = questions(20)
    pool = tmp_path / "pool"
    add(pool, "a.jsonl", rows[:10])
    go(run, pool)
    add(pool, "b.jsonl", rows[10:])
    options: dict[str, Any] = {}
    if change == "changed":
        add(pool, "a.jsonl", rows[1:12])
    elif change == "gone":
        (pool / "a.jsonl").unlink()
    else:
        options["response_items"] = "all"
    message = "other settings" if change == "fields" else r"has changed \(a.jsonl\): new rows go"
    with pytest.raises(UserError, match=message):
        go(run, pool, **options)
    assert run.scoring().rows == 10 and run.scoring().state == "done"


@pytest.mark.parametrize("last_line", ["\n", "", "\n  \n"])
def test_lines_behind_the_last_file_are_scored_alone(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_line: str
) -> None:
    rows = questions(50)
    pool = tmp_path / "pool"
    add(pool, "a.jsonl", rows[:10])
    add(pool, "b.jsonl", [*rows[10:20], {"question": ""}, rows[3]])
    file = pool / "b.jsonl"
    file.write_text(file.read_text().rstrip("\n") + last_line)
    go(run, pool)
    parts = {part: part.read_bytes() for part in run.score_parts()}
    more = "\n".join(json.dumps(row) for row in [rows[3], *rows[20:40]])
    file.write_text(file.read_text() + ("" if last_line else "\r\n") + more + "\n")
    add(pool, "0.jsonl", rows[40:])
    encoded = encoded_windows(monkeypatch)
    after = go(run, pool)
    assert sum(encoded) == 31 and after.grown_at == [22] and after.state == "done"
    assert [f.name for f in after.data[0].files] == ["a.jsonl", "b.jsonl", "0.jsonl"]
    assert {part: part.read_bytes() for part in parts} == parts
    encoded.clear()
    assert go(run, pool) == after and not encoded
    go(run, pool, name="scratch")
    names = {name for name in whole(run)["id"] if "#" not in name}
    assert names == {name for name in whole(run, "scratch")["id"] if "#" not in name}
    monkeypatch.undo()
    old = whole(run).iloc[:22]
    assert old["id"].is_unique and len(whole(run)) == 52 == whole(run)["id"].nunique()


@pytest.mark.parametrize("change", ["glued", "edited", "in the middle", "shorter", "csv"])
def test_what_is_not_behind_the_last_line_is_refused(run: Run, tmp_path: Path, change: str) -> None:
    rows = questions(20)
    pool = tmp_path / "pool"
    add(pool, "a.jsonl", rows[:5])
    add(pool, "b.jsonl", rows[5:12])
    first, last = pool / "a.jsonl", pool / "b.jsonl"
    if change == "csv":
        last.unlink()
        last = pool / "b.csv"
        pd.DataFrame(rows[5:12]).to_csv(last, index=False)
    if change == "glued":
        last.write_text(last.read_text().rstrip("\n"))
    go(run, pool)
    parts = {part: part.read_bytes() for part in run.score_parts()}
    more, text = json.dumps(rows[15]) + "\n", last.read_text()
    if change == "csv":
        more = "99,gsm,How many?,4\n"
    if change == "in the middle":
        first.write_text(first.read_text() + more)
    elif change == "shorter":
        last.write_text(text[: text.rindex("\n", 0, -1) + 1])
    elif change == "edited":
        last.write_text(text.replace("5.", "6.", 1) + more)
    else:
        last.write_text(text + more)
    with pytest.raises(
        UserError, match=r"has changed \([ab].(jsonl|csv)\): new rows go into files"
    ):
        go(run, pool)
    assert {part: part.read_bytes() for part in parts} == parts
    assert run.scoring().rows == 12 and run.scoring().state == "done"


def test_a_calibrated_scoring_does_not_grow(run: Run, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    add(pool, "a.jsonl", questions(10))
    record = go(run, pool)
    record.calibration = AppliedCalibration(name="hard", sha256="0")
    record.write(run.scores_dir("default") / "settings.json")
    add(pool, "b.jsonl", questions(12)[10:])
    with pytest.raises(UserError, match="carries the scorer of calibration 'hard'"):
        go(run, pool)


def test_windows_end_where_they_are_told_to() -> None:
    from circuitseer_core.data.sample import Reject

    entries = [Reject(f"a:{n}", "a", "bad") for n in range(10)]
    assert [w.size for w in windows(entries, Cut(4, ends=(5, 6)))] == [4, 1, 1, 4]
    assert [w.size for w in windows(entries, Cut(4, ends=(4, 10)))] == [4, 4, 2]
