"""The whole pipeline on the embedded default: what ``make demo`` runs.

Small on purpose: a racing probe of 8 short samples and about 1,400 scored rows, so that the real
model on real text is through in minutes on a laptop CPU. A second call reuses what is done.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from circuitseer_core import stages
from circuitseer_core.data.demo import available
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.installation import IS_CHECKOUT
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.wording import signed

DETECT = DetectSettings(
    model="demo",
    probe=["demo"],
    probe_size=8,
    probe_pool=32,
    mode="racing",
    max_length=160,
    dtype="fp32",
)
SCORE = ScoreSettings(data=["demo"], dtype="fp32")
SELECT = SelectionSettings(name="demo", fraction=0.1)


def run_demo(path: Path, *, command: str | None = None) -> Iterator[str]:
    """Detect, score, select and export into ``path``; yields lines for a person."""
    missing = available()
    if missing is not None:
        raise UserError(missing)
    from circuitseer_core.export.write import export

    subset = path / "subset.jsonl"
    took: dict[str, float] = {}

    def clock(stage: str, began: float) -> None:
        took[stage] = time.monotonic() - began

    began = time.monotonic()
    run = stages.run_detection(path, DETECT, command=command)
    clock("detect", began)
    top = run.heads().nsmallest(3, "rank")
    yield "largest loss increases (layer, head): " + ", ".join(
        f"({h.layer}, {h.head}) {signed(h.importance)} nats" for h in top.itertuples()
    )
    began = time.monotonic()
    scored = stages.run_scoring(path, SCORE, command=command)
    clock("score", began)
    began = time.monotonic()
    stages.run_selection(path, SELECT, command=command)
    clock("select", began)
    began = time.monotonic()
    done = export(run, SELECT.name, subset, "jsonl")
    clock("export", began)
    yield f"{scored.rows:,} samples scored; {done.rows:,} selected"
    yield f"subset: {done.path}"
    times = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in took.items())
    yield f"time: {times}; together {sum(took.values()):.0f} s"
    yield "look at it: " + ("make app" if IS_CHECKOUT else "circuitseer app")
