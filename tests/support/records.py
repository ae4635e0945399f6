"""Sections of run.json as a test wants them."""

from __future__ import annotations

from typing import Any

from circuitseer_core.runs.folder import Run


def edit_run(run: Run, **sections: Any) -> None:
    """Set sections of run.json; plain dicts become the records that they stand for."""
    with run.editing() as record:
        for name, value in sections.items():
            setattr(record, name, value)
