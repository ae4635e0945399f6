"""A few rounds of the chaos, for every day; ``make chaos`` has the many."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.chaos import rounds
from tests.chaos.comparison import Wrong, difference, same_record
from tests.chaos.journal import Journal
from tests.chaos.rounds import Chaos
from tests.support.synthetic import Shape, make_run


@pytest.mark.long
def test_a_disturbed_selection_and_export_end_as_undisturbed_ones(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    count: Callable[[str], None],
) -> None:
    """These two take a second; detecting and scoring are killed in their own tests."""
    monkeypatch.setenv("CIRCUITSEER_KEY", str(tmp_path / "job.key"))
    monkeypatch.setattr(rounds, "can_mount", lambda home: False)
    assert rounds.rounds(tmp_path, 4, ["detect", "select", "export"]) == 0
    for line in capsys.readouterr().out.splitlines():
        count(line)


def test_a_call_that_was_cut_off_goes_on_after_the_rounds_in_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIRCUITSEER_KEY", str(tmp_path / "job.key"))
    chaos = Chaos(tmp_path, "select", tmp_path / "before", tmp_path / "after")
    chaos.before.mkdir()
    calls: list[str] = []

    def one(name: str, run: Path) -> None:
        calls.append(name)
        if name == "bad" and calls.count("bad") == 1:
            raise Wrong("other numbers")

    def plan(chaos: Chaos, count: int) -> list[tuple[str, partial[None]]]:
        return [(name, partial(one, name)) for name in ("good", "bad", "good")[:count]]

    monkeypatch.setattr(rounds, "plan", plan)
    file = tmp_path / "journal.jsonl"
    rounds._stage(chaos, 2, 0, Journal(file))
    with file.open("a") as cut:
        cut.write('{"name": "select, goo')
    journal = Journal(file)
    rounds._stage(chaos, 3, 0, journal)
    assert calls == ["good", "bad", "good"]
    assert [one["wrong"] for one in Journal(file).done.values()] == ["", "other numbers", ""]


def test_a_difference_is_found(tmp_path: Path) -> None:
    """Else no round could fail."""
    wanted = make_run(tmp_path / "one", Shape(rows=20, layers=2, heads=2))
    other = tmp_path / "two"
    shutil.copytree(wanted, other)
    assert difference(wanted, other)
    (other / ".left.1.tmp").write_text("")
    with pytest.raises(Wrong, match="left behind"):
        difference(wanted, other)
    (other / ".left.1.tmp").unlink()
    shutil.copy(wanted / "pool.parquet", other / "heads.parquet")
    with pytest.raises(Wrong, match=r"heads\.parquet"):
        difference(wanted, other)
    (other / "heads.parquet").unlink()
    with pytest.raises(Wrong, match="other files"):
        difference(wanted, other)


@pytest.mark.parametrize(
    ("value", "same"), [(0.5, True), (0.500001, False), (0.6, None), ("0.5", None), ([0.5], None)]
)
def test_another_verdict_is_found(tmp_path: Path, value: object, same: bool | None) -> None:
    paths = []
    for name, finished, gap in (("one", "today", 0.5), ("two", "later", value)):
        record = {"finished": finished, "numbers": {"rows": [{"gap": gap, "seconds": 3.0}]}}
        record["verdict"] = (
            f"Nothing differs. They took {'7 s' if name == 'one' else '1.5 s'} in all."
        )
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(record))
    if same is None:
        with pytest.raises(Wrong, match=r"two\.json: \.numbers\.rows\[0\]\.gap is "):
            same_record(*paths)
    else:
        assert same_record(*paths) is same
