"""Selections to export, and what an export says of them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from circuitseer_core.export.formats import Format, file_name
from circuitseer_core.export.write import export
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.run_factory import make_run, score_frame

GROUP = [f"circuitseer_{name}" for name in ("id", "score", "rank", "probability", "source")]


def selected(run: Run, **options: object) -> Run:
    select_run(run, SelectionSettings.of(**options))
    return run


def exported_bytes(run: Run, selection: str, form: Format = "jsonl") -> bytes:
    """The data file that ``export`` writes of a selection."""
    with tempfile.TemporaryDirectory() as folder:
        done = export(run, selection, Path(folder) / file_name(selection, form), form)
        return done.path.read_bytes()


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run_of(tmp_path: Path, originals: list[dict[str, Any]], **columns: object) -> Run:
    """A run of these rows, all of them selected."""
    rows = [
        {
            "source": "s",
            "question": o.get("question", f"q{i}"),
            "answer": str(o.get("answer", f"a{i}")),
        }
        for i, o in enumerate(originals)
    ]
    frame = score_frame(rows).assign(**columns)
    frame["original"] = [json.dumps(o, ensure_ascii=False) for o in originals]
    return selected(make_run(tmp_path / "run", frame=frame, parts=1), fraction=1.0)
