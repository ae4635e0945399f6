"""Outside scores: joined by id or prompt, everything counted, columns like any other scorer's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from circuitseer_core import api
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.complexity_references import Rows, references
from circuitseer_core.export.verify import verify
from circuitseer_core.export.write import export, export_all
from circuitseer_core.files import sweep
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.integrity import check_run
from circuitseer_core.runs.records import DataRecord
from circuitseer_core.scoring.import_scores import ImportSettings, import_scores
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.run_factory import make_rows, make_run, score_frame


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Forty rows in three shards; rows 4 and 5 have the same prompt."""
    rows = make_rows(40)
    rows[5]["question"] = rows[4]["question"]
    return make_run(tmp_path / "run", frame=score_frame(rows), parts=3)


def file_of(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def imported(run: Run, file: str, **settings: Any) -> list[str]:
    return import_scores(run, [file], ImportSettings(**settings))[1]


def test_rows_are_joined_by_id_or_prompt_and_counted(run: Run, tmp_path: Path) -> None:
    pool = run.scores("default", ["id", "source", "prompt"])
    ids, prompts = pool["id"].tolist(), pool["prompt"].tolist()
    file = file_of(
        tmp_path / "reward.jsonl",
        [
            {"id": ids[0], "reward": 1.5},
            {"id": ids[1].split("/")[1], "reward": 2},
            {"prompt": f"  {prompts[4].upper()}", "reward": "3.5"},
            {"id": "nobody", "question": prompts[7], "reward": 4.0},
            {"id": ids[8], "reward": 5.0},
            {"id": ids[8], "reward": 6.0},
            {"id": ids[9], "reward": 7.0},
            {"id": ids[9], "reward": 7.0},
            {"id": "nobody", "reward": 9.0},
            {"id": ids[10], "reward": None},
        ],
    )
    lines = imported(run, file)
    scores = run.scores("default", ["reward"])["reward"].to_numpy(np.float64, na_value=np.nan)
    wanted = {0: 1.5, 1: 2.0, 4: 3.5, 5: 3.5, 7: 4.0, 9: 7.0}
    assert {i: scores[i] for i in np.flatnonzero(np.isfinite(scores))} == wanted
    conflict = "1 of which the file says different things have none"
    assert lines == [
        "9 of 10 rows joined (7 by id, 2 by prompt), 1 unmatched",
        "unmatched, the first: reward.jsonl:9",
        f"scorer reward: 6 of 40 samples have one; {conflict}",
    ]
    scoring = run.scoring("default")
    assert scoring.scorers[-1] == "reward" and scoring.imported[0].conflicting == {"reward": 1}
    assert scoring.imported[0].files[0].sha256 and check_run(run.path).ok


def test_an_id_of_two_sources_is_joined_by_none(tmp_path: Path) -> None:
    frame = score_frame(make_rows(4))
    frame["source"] = ["a", "b", "a", "b"]
    frame["id"] = ["a/1", "b/1", "a/2", "b/3"]
    run = make_run(tmp_path / "run", frame=frame)
    rows = [{"id": 1, "r": 1}, {"id": 2, "r": 2}, {"id": 1, "source": "b", "r": 3}]
    lines = imported(run, file_of(tmp_path / "r.jsonl", rows), by="id")
    assert "1 ids are those of several sources: not joined by id" in lines
    kept = run.scores("default", ["id", "r"]).dropna().set_index("id")["r"].to_dict()
    assert kept == {"a/2": 2.0, "b/1": 3.0}


def test_an_imported_score_is_drawn_by_exported_and_verified(run: Run, tmp_path: Path) -> None:
    ids = run.scores("default", ["id"])["id"].tolist()
    rng = np.random.default_rng(0)
    rows = [{"circuitseer_id": i, "deita": float(rng.random())} for i in ids[:30]]
    imported(run, file_of(tmp_path / "d.jsonl", rows))
    select_run(
        run, SelectionSettings.of(scorer="deita", count=10, temperature=0, duplicates="keep")
    )
    best = sorted(rows, key=lambda row: -row["deita"])[:10]
    assert run.selection_ids("default")["id"].tolist() == [row["circuitseer_id"] for row in best]
    assert run.selection("default").counts.no_score == 10
    assert verify(export(run, None, tmp_path / "a.jsonl").path).ok
    done = export_all(run, "default", tmp_path / "b.jsonl")
    first = json.loads(done.path.read_text().splitlines()[0])
    assert first["circuitseer_deita"] == rows[0]["deita"] and verify(done.path).ok


def test_every_number_column_is_taken_unless_named(run: Run, tmp_path: Path) -> None:
    ids = run.scores("default", ["id"])["id"].tolist()
    path = tmp_path / "t.csv"
    table = pd.DataFrame({"id": ids, "q": -np.arange(40.0), "ifd": 1, "model": "m", "variance": 1})
    table.to_csv(path, index=False)
    with pytest.raises(UserError, match="'variance' is a column of the scoring: .*NAME=variance"):
        imported(run, str(path))
    imported(run, str(path), columns=("theirs=variance", "q"))
    assert run.scoring("default").scorers[-2:] == ["theirs", "q"]
    with pytest.raises(UserError, match="'q' was imported before: --replace"):
        imported(run, str(path), columns=("q",))
    with pytest.raises(UserError, match="scores are negative"):
        select_run(run, SelectionSettings.of(scorer="q"))
    imported(run, str(path), columns=("q",), rank=True, replace=True)
    ranks = run.scores("default", ["q"])["q"].to_numpy()
    np.testing.assert_allclose(ranks, (39.5 - np.arange(40)) / 40)
    assert run.scoring("default").scorers.count("q") == 1
    select_run(run, SelectionSettings.of(scorer="q"))


_KILLED = """
import os, signal, sys
from circuitseer_core.runs import shard_columns
from circuitseer_core.scoring.import_scores import ImportSettings, import_scores
from circuitseer_core.runs.folder import Run
write, seen = shard_columns._write, []
def dies(part, columns):
    seen.append(part)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    write(part, columns)
shard_columns._write = dies
import_scores(Run.open(sys.argv[1]), [sys.argv[2]], ImportSettings(replace=True))
"""


def test_a_kill_while_scores_are_replaced_leaves_the_old_ones(run: Run, tmp_path: Path) -> None:
    ids = run.scores("default", ["id"])["id"].tolist()
    old, new = ([{"id": i, "r": n + by} for n, i in enumerate(ids)] for by in (0, 100))
    imported(run, file_of(tmp_path / "old.jsonl", old))
    record = run.scoring("default")
    again = file_of(tmp_path / "new.jsonl", new)
    words = [sys.executable, "-c", _KILLED, str(run.path), again]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert run.scoring("default") == record and check_run(run.path).ok
    assert run.scores("default", ["r"])["r"].tolist() == list(range(40))
    assert sweep(run.path, inside=True), "what the kill left aside"
    imported(run, again, replace=True)
    assert run.scores("default", ["r"])["r"].tolist() == list(range(100, 140))
    assert not list(run.path.glob(".*.tmp")) and check_run(run.path).ok


def test_of_an_earlier_import_what_was_not_replaced_stays(run: Run, tmp_path: Path) -> None:
    ids = run.scores("default", ["id"])["id"].tolist()
    both = file_of(tmp_path / "both.jsonl", [{"id": i, "a": 1, "b": 2} for i in ids])
    imported(run, both)
    imported(run, both, columns=("a",), replace=True)
    earlier, later = run.scoring("default").imported
    assert list(earlier.columns) == ["b"] and list(later.columns) == ["a"]
    assert earlier.command and "b=b" in earlier.command and "a=a" not in earlier.command


def test_the_column_of_ids_and_an_empty_one_are_no_scores(run: Run, tmp_path: Path) -> None:
    run_ids = run.scores("default", ["id"])["id"].tolist()
    rows = [{"Number": name.split("/")[1], "q": i, "note": None} for i, name in enumerate(run_ids)]
    assert all(row["Number"].isdecimal() for row in rows), "ids that look like numbers"
    imported(run, file_of(tmp_path / "r.jsonl", rows), id_field="Number")
    assert list(run.scoring("default").imported[0].columns) == ["q"]


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([{"id": "x", "r": 1}], {}, "none of 1 rows could be joined: ids of the run look like"),
        ([{"id": "x", "r": "good"}], {}, "no column holds only numbers; found: id, r"),
        ([{"id": "x", "r": 1}], {"columns": ("s",)}, "no row has a column 's'; found: id, r"),
        ([{"id": "x", "r": ""}, {"id": "y"}], {}, "no column holds only numbers; found: id, r"),
        ([{"id": "x", "r": None}], {"columns": ("r",)}, "column 'r' holds no number"),
        ([{"id": "x", "r 2": 1}], {}, "'r 2' cannot be a scorer's name"),
        ([{"id": "x", "r": 1}], {"scores": "other"}, "no scores named 'other'"),
    ],
)
def test_what_cannot_be_joined_is_refused(
    run: Run, tmp_path: Path, rows: list[dict[str, Any]], settings: dict[str, Any], message: str
) -> None:
    before = {p.name: p.read_bytes() for p in run.scores_dir("default").iterdir()}
    with pytest.raises(UserError, match=message):
        imported(run, file_of(tmp_path / "r.jsonl", rows), **settings)
    assert {p.name: p.read_bytes() for p in run.scores_dir("default").iterdir()} == before


def test_an_imported_score_is_a_reference_of_experiments(run: Run, tmp_path: Path) -> None:
    ids = run.scores("default", ["id"])["id"].tolist()
    rows = [{"id": i, "pass_rate": n / 40, "reward": n} for n, i in enumerate(ids)]
    lines = api.import_scores(run.path, file_of(tmp_path / "r.jsonl", rows), columns=["pass_rate"])
    assert lines[0].startswith("40 of 40 rows joined (40 by id")
    table = Rows(run.scores("default"), None)
    reference = references(table, ["pass_rate"])["1 - pass_rate"]
    np.testing.assert_allclose(reference, 1 - np.arange(40) / 40)


def test_truth_values_and_decimals_are_numbers(run: Run, tmp_path: Path) -> None:
    ids = run.scores("default", ["id"])["id"].tolist()
    table = pd.DataFrame(
        {
            "id": ids[:3],
            "right": [True, False, None],
            "price": [Decimal("1.50"), Decimal(2), None],
        }
    )
    table.to_parquet(tmp_path / "outside.parquet")
    imported(run, str(tmp_path / "outside.parquet"))
    assert "price" in run.scoring("default").scorers, "a decimal is a number"
    assert "right" not in run.scoring("default").scorers, "true and false only where asked for"
    imported(run, str(tmp_path / "outside.parquet"), columns=("right",))
    scores = run.scores("default", ["price", "right"]).to_numpy(np.float64, na_value=np.nan)
    np.testing.assert_equal(scores[:3], [[1.5, 1], [2, 0], [np.nan, np.nan]])


def test_the_file_is_read_as_the_pool_was(run: Run, tmp_path: Path) -> None:
    scoring = run.scoring("default")
    scoring.data = [DataRecord(fields={"prompt": "body", "id": "nr"})]
    scoring.write(run.scores_dir("default") / "settings.json")
    pool = run.scores("default", ["id", "prompt"])
    rows = [{"nr": pool["id"][0], "reward": 1.0}, {"body": pool["prompt"][7], "reward": 2.0}]
    lines = imported(run, file_of(tmp_path / "outside.jsonl", rows))
    assert lines[0].startswith("2 of 2 rows joined (1 by id, 1 by prompt)")
