"""Judgements by eye: what the file holds, what it comes to, and how sure an agreement is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.selection import review


def entry(kind: str, sample: str = "a/1", **rest: object) -> dict[str, object]:
    return {"kind": kind, "id": sample, **rest}


def verdict(choice: str, left: float, right: float, pair: str = "xy", **rest: object) -> dict:
    return {
        "kind": "verdict",
        "left": pair[0],
        "right": pair[1],
        "choice": choice,
        "scorer": "variance",
        "scores": [left, right],
        **rest,
    }


def test_the_latest_entry_wins(tmp_path: Path) -> None:
    for line in (
        entry("pin"),
        entry("drop"),
        entry("drop", "a/2"),
        entry("pin", "a/2"),
        entry("pin", "a/3"),
        entry("unpin", "a/3"),
        entry("drop", "a/4"),
        entry("undrop", "a/4"),
        entry("tag", "a/5", tag="odd"),
        entry("tag", "a/5", tag="hard"),
        entry("untag", "a/5", tag="odd"),
        entry("tag", "a/6", tag="odd"),
        entry("untag", "a/6", tag="odd"),
    ):
        review.append(tmp_path, line)
    state = review.load(tmp_path)
    assert state.pins == {"a/2"} and state.drops == {"a/1"}
    assert state.tags == {"a/5": {"hard"}}
    assert state.tagged("hard", "odd") == {"a/5"} and state.tagged("odd") == set()


def test_lines_are_appended_with_their_time(tmp_path: Path) -> None:
    stored = review.append(tmp_path, entry("tag", "ß/1", tag="schön"))
    review.append(tmp_path, entry("pin", time="2026-01-01T00:00:00+00:00"))
    lines = [json.loads(t) for t in (tmp_path / "review.jsonl").read_text().splitlines()]
    assert lines[0] == stored and "time" in stored and lines[0]["id"] == "ß/1"
    assert lines[1]["time"] == "2026-01-01T00:00:00+00:00"


def test_an_absent_file_is_an_empty_state(tmp_path: Path) -> None:
    state = review.load(tmp_path)
    assert not state.pins and not state.drops and not state.tags and state.verdicts.empty


def test_a_torn_line_costs_nothing_but_itself(tmp_path: Path) -> None:
    review.append(tmp_path, entry("pin"))
    with (tmp_path / "review.jsonl").open("a") as file:
        file.write('{"kind": "pin", "id": "a/')
    review.append(tmp_path, entry("pin", "a/9"))
    assert review.load(tmp_path).pins == {"a/1", "a/9"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"kind": "star", "id": "a"}, "kind 'star'"),
        ({"kind": "pin"}, "pin without id"),
        ({"kind": "tag", "id": "a"}, "tag without tag"),
        ({"kind": "verdict", "left": "a"}, "verdict without right"),
        (verdict("both", 1, 2), "choice 'both'"),
    ],
)
def test_nonsense_is_refused(tmp_path: Path, line: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        review.append(tmp_path, line)
    assert not (tmp_path / "review.jsonl").exists()


def test_agreement_counts_decided_pairs(tmp_path: Path) -> None:
    for line in (
        verdict("left", 2, 1, "ab"),
        verdict("right", 1, 2, "cd"),
        verdict("left", 1, 2, "ef"),
        verdict("tie", 1, 2, "gh"),
        verdict("left", 2, 2, "ij"),
        verdict("right", 2, 1, "kl", scorer="focus"),
    ):
        review.append(tmp_path, line)
    verdicts = review.load(tmp_path).verdicts
    rate, (low, high), n = review.agreement(verdicts, "variance")
    assert (rate, n) == (pytest.approx(2 / 3), 3)
    assert low == pytest.approx(0.2077, abs=1e-4) and high == pytest.approx(0.9385, abs=1e-4)
    assert review.agreement(verdicts)[2] == 4


def test_a_second_verdict_on_a_pair_replaces_the_first(tmp_path: Path) -> None:
    review.append(tmp_path, verdict("left", 2, 1, "ab"))
    review.append(tmp_path, verdict("left", 1, 2, "ba"))
    verdicts = review.load(tmp_path).verdicts
    assert len(verdicts) == 1
    assert review.agreement(verdicts)[0] == 0.0


def test_nothing_decided_says_nothing(tmp_path: Path) -> None:
    rate, bounds, n = review.agreement(review.load(tmp_path).verdicts)
    assert math.isnan(rate) and bounds == (0.0, 1.0) and n == 0


def test_wilson_against_published_values() -> None:
    low, high = review.wilson(81, 263)  # Newcombe 1998, table I
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    low, high = review.wilson(0, 20)
    assert low == 0 and round(high, 4) == 0.1611
