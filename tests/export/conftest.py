"""A run with a selection."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.runs.folder import Run
from tests.support.exported import selected
from tests.support.run_factory import make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return selected(make_run(tmp_path / "run"))
