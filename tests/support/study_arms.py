"""A folder of comparison arms with rows of one's own, as ``arms`` writes it."""

from __future__ import annotations

import json
from pathlib import Path

from circuitseer_core.arms.record import ARMS_FILE, ArmRecord, ArmsOptions, ArmsRecord

DRAWN = {"scores": "default", "scorer": "focus", "temperature": 0.5}
"""What the soft arm is drawn by."""


def write_arms(folder: Path, arms: dict[str, list[tuple[str, str]]], **tokens: int) -> None:
    """A folder with these (question, answer) rows, by label."""
    folder.mkdir()
    records = []
    for label, rows in arms.items():
        chats = [
            {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
            for q, a in rows
        ]
        (folder / f"{label}.jsonl").write_text("\n".join(map(json.dumps, chats)))
        kind, _, seed = label.partition("-s")
        records.append(
            ArmRecord(
                label=label, kind=kind, seed=int(seed or 0), file=f"{label}.jsonl", meaning="",
                rows=len(rows), tokens=tokens.get(kind, 600), mean_tokens=10,
                median_tokens=10, sha256=label,
            )
        )  # fmt: skip
    record = ArmsRecord(
        run="r",
        settings=ArmsOptions(**DRAWN),
        budget={"tokens": 600},
        pool_rows=9,
        pool_tokens=9,
        arms=records,
    )
    record.write(folder / ARMS_FILE)
