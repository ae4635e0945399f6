"""Which processes work in a run folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from circuitseer_core.runs.processes import RUNNER, identity, works_in


def test_a_process_works_in_the_folder_that_it_was_started_for(tmp_path: Path) -> None:
    words = ["-c", "import time; time.sleep(60)", RUNNER, str(tmp_path)]
    process = subprocess.Popen([sys.executable, *words])
    try:
        assert works_in(identity(process.pid), tmp_path)
        assert not works_in(identity(process.pid), tmp_path / "other")
    finally:
        process.kill()
        process.wait()
    assert not works_in(identity(os.getpid()), tmp_path)


def test_a_process_that_is_just_being_started_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = [[], [], ["python", RUNNER, str(tmp_path)]]
    monkeypatch.setattr(psutil.Process, "cmdline", lambda self: seen.pop(0))
    assert works_in(identity(os.getpid()), tmp_path) and not seen
