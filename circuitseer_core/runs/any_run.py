"""A run as a call from Python may name it: by its folder, or opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

from circuitseer_core.arguments import a_path
from circuitseer_core.runs.folder import Run

AnyRun: TypeAlias = Run | str | os.PathLike[str]
"""A run folder, or one that was opened."""


def place(run: Any) -> Path:
    """The folder that is meant. Raises UserError where ``run`` is neither run nor path."""
    return run.path if isinstance(run, Run) else a_path("run", run)
