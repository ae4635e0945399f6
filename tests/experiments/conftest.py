"""Runs on which experiments are tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.runs.folder import Run
from tests.support.crafted_run import bare_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return bare_run(tmp_path / "run")
