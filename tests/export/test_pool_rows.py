"""The whole scored pool: every row, every score, each format, verified; nothing drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.export.formats import FORMATS
from circuitseer_core.export.verify import verify
from circuitseer_core.export.write import export_all
from circuitseer_core.runs import texts as run_texts
from circuitseer_core.runs.folder import Run
from tests.support.run_factory import make_rows, make_run, score_frame

NAMES = {"parquet": "a.parquet", "csv": "a.csv", "datasets": "folder"}
SCORERS = ("variance", "focus", "length", "random")


def pool_run(path: Path) -> Run:
    """Forty rows in three shards; one has no score, two have no response."""
    frame = score_frame(make_rows(40))
    frame.loc[3, "variance"] = np.nan
    frame.loc[[5, 30], "response"] = None
    return make_run(path, frame=frame, parts=3)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_verified(tmp_path: Path, form: str) -> None:
    run = pool_run(tmp_path / "run")
    done = export_all(run, "default", tmp_path / "out" / NAMES.get(form, "a.jsonl"), form)  # type: ignore[arg-type]
    rows = 40 if form in ("jsonl", "parquet", "csv", "datasets") else 38
    result = verify(done.path)
    assert result.ok and result.rows == done.rows == rows, result.messages


def test_rows_stand_in_data_order_with_every_score(tmp_path: Path) -> None:
    run = pool_run(tmp_path / "run")
    done = export_all(run, "default", tmp_path)
    assert done.path.name == "default.all.jsonl"
    rows = [json.loads(line) for line in done.path.read_text().splitlines()]
    scores = run.scores("default", ["id", "source", "n_tokens", *SCORERS, "original"])
    assert [row["circuitseer_id"] for row in rows] == scores["id"].tolist()
    for row, kept in zip(rows, scores.to_dict("records"), strict=True):
        original = json.loads(kept["original"])
        assert {name: row[name] for name in original} == original
        for name in SCORERS:
            same = kept[name] if np.isfinite(kept[name]) else None
            assert row[f"circuitseer_{name}"] == same
        assert row["circuitseer_n_tokens"] == kept["n_tokens"]
    card = done.card.read_text()
    assert "40 samples with the scores" in card and "3 rows were rejected" in card
    manifest = json.loads(done.manifest.read_text())
    assert manifest["kind"] == "pool" and manifest["scorers"] == list(SCORERS)
    assert " export " in manifest["commands"][-1] and " --all " in manifest["commands"][-1]


def test_another_score_in_the_run_is_found(tmp_path: Path) -> None:
    run = pool_run(tmp_path / "run")
    done = export_all(run, "default", tmp_path / "a.parquet")
    part = run.score_parts("default")[1]
    frame = pd.read_parquet(part)
    frame.loc[0, "focus"] += 1.0
    frame.to_parquet(part, index=False)
    result = verify(done.path)
    assert result.kinds == ["rows"] and "'circuitseer_focus' is not what" in result.messages[0]
    frame.iloc[1:].to_parquet(part, index=False)
    assert "rows" in verify(done.path).kinds
    part.unlink()
    assert not verify(done.path).ok


def test_a_score_that_left_the_run_is_one_message(tmp_path: Path) -> None:
    run = pool_run(tmp_path / "run")
    done = export_all(run, "default", tmp_path / "a.jsonl")
    for part in run.score_parts("default"):
        pd.read_parquet(part).drop(columns="focus").to_parquet(part, index=False)
    result = verify(done.path)
    assert result.kinds == ["pool"] and "cannot be derived again" in result.messages[0]


def test_texts_come_from_the_demo_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = pool_run(tmp_path / "run")
    for part in run.score_parts("default"):
        frame = pd.read_parquet(part)
        frame["original"] = pd.Series([None] * len(frame), dtype="string")
        frame.to_parquet(part, index=False)
    monkeypatch.setattr(run_texts, "demo_texts", dict)
    monkeypatch.setattr(run_texts, "available", lambda: "the demo data needs X")
    with pytest.raises(UserError, match="numbers without texts: the demo data needs X"):
        export_all(run, "default", tmp_path / "a.jsonl")
    assert not list(tmp_path.glob("a.jsonl*"))


def test_an_unfinished_scoring_is_refused(tmp_path: Path) -> None:
    run = pool_run(tmp_path / "run")
    path = run.scores_dir("default") / "settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"state": "running"}))
    with pytest.raises(UserError, match="'default' is not finished"):
        export_all(run, "default", tmp_path / "a.jsonl")
    with pytest.raises(UserError, match="no scores named 'other'"):
        export_all(run, "other", tmp_path / "a.jsonl")
