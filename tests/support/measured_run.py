"""A tiny model and its importances by the real first stage, for experiments that need both."""

from __future__ import annotations

import json
from pathlib import Path

from circuitseer_core.runs.folder import Run
from tests.support.tiny_models import save_tiny


def measured_run(folder: Path) -> Run:
    """FOLDER/run, detected on sums; imports torch."""
    from circuitseer_core.detection.detect import detect
    from circuitseer_core.detection.settings import DetectSettings

    model = save_tiny(folder / "model", bos=True)
    rows = [{"question": f"What is {i} + {2 * i}?", "answer": f"{3 * i}"} for i in range(12)]
    data = folder / "sums.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run = Run.create(folder / "run")
    settings = DetectSettings(model=str(model), probe=[str(data)], probe_size=8, stack_tokens=512)
    detect(run, settings, show=False)
    return run
