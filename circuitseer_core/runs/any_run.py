"""A run as a call from Python may name it: by its folder, or opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

from circuitseer_core.arguments import a_path
from circuitseer_core.runs import ownership
from circuitseer_core.runs.folder import Run

AnyRun: TypeAlias = Run | str | os.PathLike[str]
"""A run folder, or one that was opened."""


def place(run: Any) -> Path:
    """The folder that is meant. Raises UserError where ``run`` is neither run nor path."""
    return run.path if isinstance(run, Run) else a_path("run", run)


def adopt(run: AnyRun) -> None:
    """Take over a run from another machine, to write into it.

    Look at it first: a stage uses the model and the data that it names.

    Raises:
        UserError: no run, one that holds a link, or no note of it can be kept.
    """
    ownership.adopt(Run.open(place(run)).path)
