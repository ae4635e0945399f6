"""A few rounds of the chaos, for every day; ``make chaos`` has the many."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.chaos import rounds
from tests.chaos.rounds import Wrong, difference
from tests.support.synthetic import Shape, make_run


def test_a_disturbed_selection_and_export_end_as_undisturbed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These two take a second; detecting and scoring are killed in their own tests."""
    monkeypatch.setenv("CIRCUITSEER_KEY", str(tmp_path / "job.key"))
    monkeypatch.setattr(rounds, "can_mount", lambda home: False)
    assert rounds.rounds(tmp_path, 4, ["detect", "select", "export"]) == 0


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
