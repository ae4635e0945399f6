"""The stages as plain functions, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.stage import working


def load_run(path: str | Path) -> Run:
    """Open a run folder. Raises UserError where ``path`` is none."""
    return Run.open(path)


def detect(
    run: str | Path,
    *,
    model: str,
    probe: str | Sequence[str],
    show: bool = True,
    **settings: Any,
) -> Run:
    """Stage 1 into the run folder ``run``; the table is ``result.heads()``.

    Args:
        model, probe: a model and DATA specs, as on the command line.
        settings: any field of :class:`circuitseer_core.detection.settings.DetectSettings`.

    Raises:
        UserError: bad data or model, or a run made with other settings.
    """
    from circuitseer_core.detection.detect import detect as measure
    from circuitseer_core.detection.settings import DetectSettings

    asked = DetectSettings(model=model, probe=_several(probe), **settings)
    folder = Run.create(run)
    try:
        with working(folder, "detect", f"circuitseer_core.detect({str(run)!r}, …)"):
            measure(folder, asked, show=show)
    finally:
        folder.discard_if_empty()
    return folder


def score(
    run: str | Path, *, data: str | Sequence[str], show: bool = True, **settings: Any
) -> pd.DataFrame:
    """Stage 2; returns the scores (no texts, no profiles).

    Args:
        data: DATA specs, as on the command line.
        settings: any field of :class:`circuitseer_core.scoring.settings.ScoreSettings`.

    Raises:
        UserError: no detection yet, bad data, or another setting under the same name.
    """
    from circuitseer_core.scoring.score import score as measure
    from circuitseer_core.scoring.settings import ScoreSettings

    asked = ScoreSettings(data=_several(data), **settings)
    folder = Run.open(run)
    with working(folder, "score", f"circuitseer_core.score({str(run)!r}, …)"):
        measure(folder, asked, progress=show)
    return folder.scores(asked.name)


def _several(specs: str | Sequence[str]) -> list[str]:
    return [specs] if isinstance(specs, str) else list(specs)
