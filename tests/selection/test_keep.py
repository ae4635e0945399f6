"""A frame that a draw gave, kept in its run later: the very same draw, or an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import circuitseer_core as cs
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection import review
from tests.support.run_factory import make_rows, make_run, score_frame, write_scores


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ("list", "lists or judgements changed"),
        ("pin", "lists or judgements changed"),
        ("pool", "the pool or its scores changed"),
    ],
)
def test_the_same_settings_that_draw_other_rows_are_asked_for(
    run: Run, tmp_path: Path, changed: str, why: str
) -> None:
    """An export of the rows that were there would verify no more."""
    out = tmp_path / "out.txt"
    out.write_text("gsm/0\n")
    ask: dict[str, Any] = {"count": 10, "save": "mine", "exclude": [str(out)]}
    first = cs.select(run, **ask)
    assert cs.select(run, **ask)["id"].tolist() == first["id"].tolist(), "the same rows may"
    if changed == "list":
        out.write_text(f"{first['id'].iloc[0]}\n")
    elif changed == "pin":
        outside = set(run.scores("default", ["id"])["id"]) - set(first["id"])
        review.append(run.path, {"kind": "pin", "id": min(outside)})
    else:
        write_scores(run, score_frame(make_rows(200), seed=5))
    with pytest.raises(cs.UserError, match=rf"{why} since.*--replace \(replace=True\)"):
        cs.select(run, **ask)
    assert run.selection_ids("mine")["id"].tolist() == first["id"].tolist()
    assert cs.select(run, **ask, replace=True)["id"].tolist() != first["id"].tolist()


@pytest.mark.parametrize(
    "options",
    [
        {"fraction": 0.2},
        {"tokens": 900, "token_field": "both", "temperature": 0.0},
        {"count": 7, "stratify": "equal", "seed": 3, "exclude": ["gsm/0", "gsm/1"]},
        {"count": 9, "temperature": float("inf"), "lowest": True, "require_response": True},
    ],
)
def test_kept_exported_and_verified(run: Run, tmp_path: Path, options: dict[str, Any]) -> None:
    chosen = cs.select(run, **options)
    assert run.selections() == []
    record = cs.save_selection(run, chosen, "later")
    assert run.selection_ids("later")["id"].tolist() == chosen["id"].tolist()
    assert record.counts.selected == len(chosen)
    done = cs.export(run, tmp_path / "out.jsonl", selection="later")
    assert done.rows == len(chosen) and cs.verify(done.path).ok


def test_the_order_of_the_rows_does_not_matter(run: Run) -> None:
    chosen = cs.select(run, fraction=0.2)
    cs.save_selection(run, chosen.sort_values("id"), "sorted")
    assert run.selection_ids("sorted")["id"].tolist() == chosen["id"].tolist()


def test_a_draw_from_a_frame_of_scores_is_kept_too(run: Run) -> None:
    make_run(run.path, name="other")
    for columns in (None, ["id", "source", "n_tokens", "variance", "prompt", "n_response_tokens"]):
        chosen = cs.select(run.scores("other", columns), count=11, seed=2)
        cs.save_selection(run, chosen, "mine", scoring="other", replace=True)
        assert run.selection("mine").scores == "other"
        assert set(run.selection_ids("mine")["id"]) == set(chosen["id"])


def test_a_frame_survives_parquet(run: Run, tmp_path: Path) -> None:
    cs.select(run, count=5).to_parquet(tmp_path / "chosen.parquet")
    cs.save_selection(run, pd.read_parquet(tmp_path / "chosen.parquet"), "back")
    assert len(run.selection_ids("back")) == 5


def test_rows_taken_out_by_hand_are_refused(run: Run) -> None:
    chosen = cs.select(run, count=10)
    with pytest.raises(cs.UserError, match=r"3 of 10 rows are missing and 0 are others.*exclude="):
        cs.save_selection(run, chosen.head(7), "edited")
    assert run.selections() == []


def test_a_name_in_use_is_asked_for(run: Run) -> None:
    cs.select(run, count=10, save="mine")
    other = cs.select(run, count=11)
    with pytest.raises(cs.UserError, match="drawn with other settings .count."):
        cs.save_selection(run, other, "mine")
    cs.save_selection(run, other, "mine", replace=True)
    with pytest.raises(cs.UserError, match="drawn with other settings"):
        cs.select(run, count=12, save="mine")
    cs.select(run, count=12, save="mine", replace=True)
    assert len(run.selection_ids("mine")) == 12


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (pd.DataFrame({"id": ["gsm/0"]}), "does not say how it was drawn"),
        (pd.DataFrame({"a": [1]}), "give a frame that select returned"),
        (["gsm/0"], "give a frame that select returned, not list"),
    ],
)
def test_what_is_no_draw_is_refused(run: Run, chosen: Any, message: str) -> None:
    with pytest.raises(cs.UserError, match=message):
        cs.save_selection(run, chosen, "mine")


def test_settings_in_a_frame_are_checked(run: Run) -> None:
    chosen = cs.select(run, count=3)
    chosen.attrs["selection"]["settings"]["count"] = -3
    with pytest.raises(cs.UserError, match="--count"):
        cs.save_selection(run, chosen, "mine")
    with pytest.raises(cs.UserError, match="--name"):
        cs.save_selection(run, cs.select(run, count=3), "../mine")
