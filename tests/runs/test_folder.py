"""The run folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run, list_runs
from tests.support.records import edit_run


def test_runs(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r")
    edit_run(run, model={"id": "m"})
    assert Run.open(tmp_path / "r").model.id == "m"
    assert list_runs(tmp_path) == [tmp_path / "r"]
    with pytest.raises(UserError, match="detect"):
        run.heads()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="not a run folder"):
        Run.create(other)
    (tmp_path / "r" / "run.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        Run.open(tmp_path / "r")
