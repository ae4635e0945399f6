"""Stage 2 end to end on a tiny model: columns, texts, rejects, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.columns import ATTENTION_SCORERS, DRAWS
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring import engine as score_engine
from circuitseer_core.scoring import shards
from tests.support.detected_run import detected_run, questions, write_rows
from tests.support.scorings import CONTROLS, go, settings, whole
from tests.support.tiny_models import save_tiny

COLUMNS = [
    *["id", "source", "n_tokens", "n_tokens_full", "n_response_tokens", "truncated"],
    *[*ATTENTION_SCORERS, "sink_share", "length", "random", *CONTROLS],
    *["profile", "token_starts", "special_mask", "prompt_hash", "prompt", "response", "original"],
]


def test_every_column_is_there_and_right(run: Run, data: str) -> None:
    result = go(run, settings(data))
    assert (result.state, result.rows, result.rejected) == ("done", 50, 0)
    assert result.heads == [(0, 0), (0, 1), (0, 2)] and len(result.control_heads) == DRAWS
    assert result == run.scoring()
    table = whole(run)
    assert table.column_names == COLUMNS
    assert table.schema.field("profile").type == pa.list_(pa.float16())
    assert len(run.score_parts()) == 4
    frame = table.to_pandas()
    assert frame["id"].tolist() == [f"{('gsm', 'aqua')[i % 2]}/{i}" for i in range(50)]
    assert (frame["length"] == frame["n_tokens"]).all() and not frame["truncated"].any()
    assert frame["n_response_tokens"].isna().sum() == 8 == frame["response"].isna().sum()
    assert frame[[*ATTENTION_SCORERS, *CONTROLS]].notna().all().all()
    for row in frame.itertuples():
        assert len(row.profile) == len(row.token_starts) == len(row.special_mask) == row.n_tokens
        assert sum(row.profile) == pytest.approx(1, abs=0.01)
        assert row.token_starts[0] == 0 and row.token_starts[-1] < len(row.prompt)
        assert json.loads(row.original)["question"] == row.prompt
        spread = np.var(np.asarray(row.profile, dtype=np.float64) * row.n_tokens)
        assert row.variance == pytest.approx(spread, rel=0.01)
        first = (row.profile[0] * row.n_tokens - 1) ** 2 / row.n_tokens
        assert row.sink_share == pytest.approx(first / spread, rel=0.02, abs=1e-3)


def test_scores_do_not_depend_on_budget_sharding_or_company(run: Run, data: str) -> None:
    go(run, settings(data))
    go(run, settings(data, name="other", token_budget=150, shard_rows=50))
    one, other = run.scores(), run.scores("other")
    assert one["id"].tolist() == other["id"].tolist()
    for name in [*ATTENTION_SCORERS, *CONTROLS]:
        assert np.allclose(one[name], other[name], rtol=1e-4), name
    assert one["random"].equals(other["random"])


def test_a_bos_is_special_and_left_out(tmp_path: Path, data: str) -> None:
    run = detected_run(tmp_path, bos=True)
    go(run, settings(data))
    table = whole(run).to_pandas()
    assert all(mask[0] and not mask[1:].any() for mask in table["special_mask"])


@pytest.mark.parametrize(("text", "rejected"), [("response", 8), ("full", 8), ("prompt", 0)])
def test_the_text_asked_for_is_scored(run: Run, data: str, text: str, rejected: int) -> None:
    result = go(run, settings(data, text=text))
    assert result.rejected == rejected == len(run.rejects())
    if rejected:
        assert set(run.rejects()["reason"]) == {"no response"}
    row = whole(run).to_pandas().iloc[3]
    texts = {"prompt": row.prompt, "response": row.response}
    texts["full"] = f"{row.prompt}\n{row.response}"
    assert row.token_starts[-1] < len(texts[text]) <= row.token_starts[-1] + 12


def test_long_texts_are_cut_and_flagged(run: Run, data: str) -> None:
    go(run, settings(data, max_length=20))
    frame = run.scores()
    assert frame["n_tokens"].max() == 20
    assert (frame["truncated"] == (frame["n_tokens_full"] > 20)).all() and frame["truncated"].any()
    with pytest.raises(UserError, match="more than the model's 512 positions"):
        go(run, settings(data, name="long", max_length=5000))


def test_rejects_carry_reasons_and_rows_add_up(run: Run, tmp_path: Path) -> None:
    rows = questions(20)
    rows[4]["question"] = "7"
    rows[9]["question"] = ""
    spec = write_rows(tmp_path / "odd.jsonl", rows)
    with Path(spec).open("a") as handle:
        handle.write('{"broken\n')
    result = go(run, settings(spec, shard_rows=7))
    rejects = run.rejects()
    assert result.rows + result.rejected == 21 and len(rejects) == result.rejected == 3
    assert list(rejects.columns) == ["id", "source", "reason"]
    reasons = dict(zip(rejects["id"], rejects["reason"], strict=True))
    assert reasons["gsm/4"].startswith("fewer than 2 tokens")
    assert any("odd.jsonl:21" in where for where in reasons)
    assert not set(rejects["id"]) & set(run.scores()["id"])


def test_done_is_done(run: Run, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = go(run, settings(data))
    stamps = [p.stat().st_mtime_ns for p in run.score_parts()]

    def no_model(*args: object, **kwargs: object) -> ReferenceModel:
        raise AssertionError("a finished scoring needs no model")

    monkeypatch.setattr(score_engine, "load_run_model", no_model)
    assert go(run, settings(data)) == first
    assert [p.stat().st_mtime_ns for p in run.score_parts()] == stamps


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"heads": "2"}, "--heads"),
        ({"text": "full"}, "--text"),
        ({"seed": 1}, "--seed"),
        ({"baselines": True}, "--baselines"),
        ({"max_length": 77}, "--max-length"),
        ({"dtype": "bf16"}, "--dtype"),
    ],
)
def test_other_settings_need_another_name(
    run: Run, data: str, options: dict[str, Any], named: str
) -> None:
    go(run, settings(data))
    with pytest.raises(UserError, match=rf"'default'.*\({named}\): choose another --name"):
        go(run, settings(data, **options))
    go(run, settings(data, name="other", **options))
    assert run.scorings() == ["default", "other"]


def test_other_data_needs_another_name(run: Run, data: str, tmp_path: Path) -> None:
    go(run, settings(data))
    write_rows(tmp_path / "questions.jsonl", questions(49))
    with pytest.raises(UserError, match="questions.jsonl.*choose another --name"):
        go(run, settings(data))


def test_what_is_missing_is_said(run: Run, data: str, tmp_path: Path) -> None:
    bare = Run.create(tmp_path / "bare")
    with pytest.raises(UserError, match="no reasoning heads yet: run detect"):
        go(bare, settings(data))
    empty = write_rows(tmp_path / "empty.jsonl", [])
    with pytest.raises(UserError, match="no rows"):
        go(run, settings(empty))
    with pytest.raises(UserError, match="absent"):
        go(run, settings(str(tmp_path / "absent.jsonl")))
    assert run.scorings() == []


def test_a_changed_model_is_refused(run: Run, data: str, tmp_path: Path) -> None:
    save_tiny(tmp_path / "model", "llama", seed=9)
    with pytest.raises(UserError, match="other weights now"):
        go(run, settings(data))
    assert run.scorings() == []


def test_nothing_scored_is_an_error(run: Run, tmp_path: Path) -> None:
    spec = write_rows(tmp_path / "short.jsonl", [{"question": "1"}, {"question": "2"}])
    with pytest.raises(UserError, match=r"all 2 were rejected \(fewer than 2 tokens"):
        go(run, settings(spec))


def test_the_budget_is_found_and_pinned(run: Run, data: str) -> None:
    result = go(run, settings(data, token_budget=None))
    assert result.token_budget >= 1024
    notes = [shards.read_note(part) for part in run.score_parts()]
    assert {note.token_budget for note in notes if note} == {result.token_budget}
