"""Judgements by eye: what the file holds, what it comes to, and which batch is open."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.runs.integrity import check_run
from circuitseer_core.runs.review_records import ReviewBatch, ReviewPair
from circuitseer_core.selection import review


def entry(kind: str, sample: str = "a/1", **rest: object) -> dict[str, object]:
    return {"kind": kind, "id": sample, **rest}


def verdict(
    choice: str, left: float, right: float, pair: Sequence[str] = "xy", **rest: object
) -> dict:
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


@pytest.mark.parametrize("bit", range(8))
def test_a_line_that_was_damaged_is_counted(tmp_path: Path, bit: int) -> None:
    """A drop that cannot be read any more must not bring its row back in silence."""
    for sample in ("a/1", "a/2", "a/3"):
        review.append(tmp_path, entry("drop", sample))
    path = tmp_path / "review.jsonl"
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"drop", raw.index(b"a/1"))] ^= 1 << bit
    path.write_bytes(raw)
    state = review.load(tmp_path)
    assert (state.drops, state.lost) == ({"a/1", "a/3"}, 1)
    (damage,) = check_run(tmp_path).damaged
    assert damage.file == "review.jsonl" and damage.remedy.startswith("1 line cannot be read")
    path.write_bytes(path.read_bytes()[:-3])  # and a crash while the last one was written
    assert review.load(tmp_path).lost == 1


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


def test_a_second_verdict_on_a_pair_replaces_the_first(tmp_path: Path) -> None:
    review.append(tmp_path, verdict("left", 2, 1, "ab"))
    review.append(tmp_path, verdict("left", 1, 2, "ba"))
    verdicts = review.load(tmp_path).verdicts
    assert len(verdicts) == 1 and verdicts["left"].tolist() == ["b"]


def a_batch(count: int = 3, name: str = "1") -> ReviewBatch:
    pairs = [
        ReviewPair(
            left=f"a{n}", right=f"b{n}", source="s", band="long",
            scores=(1.0, 2.0), percentiles=(1.0, 2.0), tokens=(9, 9),
        )
        for n in range(count)
    ]  # fmt: skip
    return ReviewBatch(batch=name, time="2026-01-01", scorer="focus", pairs=pairs)


def line_of(batch: ReviewBatch) -> dict[str, object]:
    return {"kind": "batch", **batch.model_dump(mode="json")}


def test_a_batch_is_open_until_its_last_verdict(tmp_path: Path) -> None:
    batch = a_batch()
    review.append(tmp_path, line_of(batch))
    for n, choice in ((0, "left"), (2, "skip"), (0, "tie"), (1, "right")):
        state = review.load(tmp_path)
        assert state.open_batch() == batch and state.finished_verdicts().empty
        line = verdict(choice, 1, 2, (f"a{n}", f"b{n}"), scorer="focus", batch="1")
        review.append(tmp_path, line)
    state = review.load(tmp_path)
    assert state.open_batch() is None and len(state.finished_verdicts()) == 3
    assert state.of_batch(batch) == {0: "tie", 1: "right", 2: "skip"}
    assert state.shown() == {"a0", "a1", "a2", "b0", "b1", "b2"}


def test_a_batch_can_be_ended_and_the_next_begun(tmp_path: Path) -> None:
    review.append(tmp_path, line_of(a_batch()))
    review.append(tmp_path, {"kind": "close", "batch": "1"})
    assert review.load(tmp_path).open_batch() is None
    review.append(tmp_path, line_of(a_batch(name="2")))
    review.append(tmp_path, line_of(a_batch(5, name="2")))  # two tabs: the first one stands
    open_one = review.load(tmp_path).open_batch()
    assert open_one is not None and (open_one.batch, len(open_one.pairs)) == ("2", 3)


def test_a_batch_that_is_none_is_passed_over(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="batch: pairs"):
        review.append(tmp_path, {"kind": "batch", "batch": "1", "scorer": "x", "pairs": []})
    with pytest.raises(UserError, match="close without batch"):
        review.append(tmp_path, {"kind": "close"})
    (tmp_path / "review.jsonl").write_text(
        '{"kind": "batch", "batch": "1", "scorer": "x", "pairs": [{"left": 3}]}\n'
        '{"kind": "verdict", "left": "a", "right": "b", "choice": "left", "batch": 7}\n'
    )
    state = review.load(tmp_path)
    assert state.batches == {} and len(state.finished_verdicts()) == 1


def test_a_line_that_is_written_in_parts_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:7]))
    review.append(tmp_path, entry("tag", "ß/1", tag="schön"))
    assert review.load(tmp_path).tags == {"ß/1": {"schön"}}


def test_a_line_that_a_full_disk_refuses_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, left = os.write, [10]

    def nearly_full(handle: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = write(handle, data[: left[0]])
        left[0] -= count
        return count

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(OSError, match="No space left"):
        review.append(tmp_path, entry("pin"))
