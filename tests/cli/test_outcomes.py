"""What the stages say at their end: numbers, lost rows, doubts; in words and as facts."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from circuitseer_core.cli.outcomes import detected, drawn, scored
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.signatures.catalogue import CHECKS, OF_STAGE, warnings
from tests.support import synthetic
from tests.support.records import edit_run
from tests.support.run_factory import make_rows, make_run, write_scores


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A synthetic run with detection and scores."""
    path = tmp_path_factory.mktemp("outcomes") / "run"
    return Run.open(synthetic.make_run(path, synthetic.Shape(rows=300)))


def test_every_stage_names_checks_that_there_are() -> None:
    assert {key for keys in OF_STAGE.values() for key in keys} <= set(CHECKS)


def test_detect_names_heads_losses_and_doubts(run: Run) -> None:
    edit_run(run, detect={"probe_left_out": {"no response": 3, "longer than 9 tokens": 12}})
    outcome = detected(Run.open(run.path))
    assert "left out of the probe's candidates: 12 longer than 9 tokens, 3 no response" in (
        outcome.lines
    )
    expected = [s for s in warnings(run, stage="detect") if s.severity == "warn"]
    warning_lines = [line for line in outcome.lines if line.startswith("warning: ")]
    assert warning_lines == [f"warning: {s.title}: {s.text}" for s in expected]
    assert [w["key"] for w in outcome.facts["warnings"] if w["severity"] == "warn"] == [
        s.key for s in expected
    ]
    best = run.heads().nsmallest(1, "rank").iloc[0]
    assert outcome.facts["strongest"][0]["importance"] == best["importance"]
    assert outcome.lines[-1].startswith("next: ") and " score --run " in outcome.lines[-1]


def test_score_names_rejects_their_file_and_odd_rows(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", make_rows(20))
    frame = pd.concat([pd.read_parquet(part) for part in run.score_parts()], ignore_index=True)
    frame["prompt_hash"] = [1, 1, 1, 0, 0, *range(2, 17)]
    frame.loc[:3, "truncated"] = True
    frame.loc[5:6, "n_response_tokens"] = None
    write_scores(run, frame)
    reasons = ["no response"] * 4 + ["empty"] * 2 + ["a", "b", "c"]
    rejects = pd.DataFrame({"id": [f"f:{i}" for i in range(9)], "source": "x", "reason": reasons})
    rejects.to_parquet(run.scores_dir() / "rejects.parquet")
    settings = json.loads((run.scores_dir() / "settings.json").read_text())
    (run.scores_dir() / "settings.json").write_text(json.dumps(settings | {"rejected": 9}))
    outcome = scored(Run.open(run.path), "default")
    assert outcome.facts["duplicates"] == 2 and outcome.facts["truncated"] == 4
    assert outcome.facts["without_response"] == 2
    assert outcome.lines[0] == "20 samples scored, 9 rejected"
    assert outcome.lines[1].startswith("rejected: 4 no response, 2 empty, 1 ")
    assert "2 for other reasons; each row in " in outcome.lines[1]
    assert outcome.lines[1].endswith("rejects.parquet")
    assert outcome.lines[2].startswith("of the scored rows 2 repeat another row's prompt")
    assert "4 were cut at 4,096 tokens; 2 have no response" in outcome.lines[2]


def test_other_reasons_are_all_the_others(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", make_rows(5))
    reasons = [f"field {i} is empty" for i in range(30)]
    rejects = pd.DataFrame({"id": [f"f:{i}" for i in range(30)], "source": "x", "reason": reasons})
    rejects.to_parquet(run.scores_dir() / "rejects.parquet")
    _settings(run, rejected=30)
    assert "27 for other reasons" in scored(Run.open(run.path), "default").lines[1]


def test_heads_by_chance_are_those_of_the_map_that_the_rule_chose_from(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", make_rows(5))
    _settings(run, heads_rule="lcb")
    assert scored(Run.open(run.path), "default").facts["heads_by_chance"] is not None
    _settings(run, heads_from={"sha256": "0" * 64})
    assert scored(Run.open(run.path), "default").facts["heads_by_chance"] is None
    _settings(run, heads_from=None)
    run.heads_path.unlink()
    outcome = scored(Run.open(run.path), "default")
    assert outcome.facts["heads_by_chance"] is None and outcome.lines


def _settings(run: Run, **changed: object) -> None:
    path = run.scores_dir() / "settings.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(record | changed), encoding="utf-8")


def test_select_counts_what_lists_matched(tmp_path: Path) -> None:
    rows = make_rows(40)
    rows[7]["question"] = rows[3]["question"]
    run = make_run(tmp_path / "run", rows)
    bench = tmp_path / "bench.jsonl"
    bench.write_text("\n".join(json.dumps({"question": r["question"]}) for r in rows[10:15]))
    ids = tmp_path / "ids.txt"
    known = run.scores()["id"].tolist()
    ids.write_text("\n".join([known[0], known[1], "who/knows"]))
    (run.path / "review.jsonl").write_text('{"kind": "drip", "id": "a"}\n{"kind": "dr')
    settings = SelectionSettings.of(
        fraction="50%", exclude=(str(bench), str(ids), known[2], "nobody/9"), include=("no/1",)
    )
    selection = select_run(run, settings)
    outcome = drawn(Run.open(run.path), selection)
    assert outcome.lines[0] == (
        "40 rows scored, 3 rejected before; left out: 1 duplicate, 3 excluded by id, "
        "5 excluded by text; 31 could be drawn"
    )
    assert f"exclude {bench}: 0 ids and 5 texts, which 5 rows of the pool have" in outcome.lines
    assert any(line.endswith("which 2 rows of the pool have") for line in outcome.lines)
    unknown = "no row has the id nobody/9, and it is no file either"
    assert f"exclude: {unknown}" in outcome.lines
    assert "include: no row has the id no/1, and it is no file either" in outcome.lines
    assert [entry["rows"] for entry in outcome.facts["lists"]] == [5, 2, 1, 0, 0]
    assert outcome.facts["selected"] == selection.counts.selected == 16
    assert outcome.facts["judgements_lost"] == 1
    assert any("review.jsonl: 1 line cannot be read" in line for line in outcome.lines)
    json.dumps(outcome.facts, allow_nan=False)
