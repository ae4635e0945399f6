"""Problems with a count of worked steps, as files that ``score`` and ``calibrate`` read.

    python docs/evidence/calibration_data.py --out FOLDER --gsm8k train.jsonl --svamp svamp.jsonl \\
        --aqua dev.jsonl

Writes FOLDER/{champ,aqua,svamp,gsm8k}.jsonl with id, question, answer and ``steps``:

- champ: the embedded competition problems; steps of the written solution;
- gsm8k: ``<<`` in the worked answer (one a calculation);
- svamp: opening brackets of the equation (one an operation);
- aqua: ``=`` in the rationale.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from circuitseer_core.data.demo import demo_rows

MARKS = {"gsm8k": "<<", "svamp": "(", "aqua": "="}


def main() -> None:
    """Write the four files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--rows", type=int, default=800, help="most rows of a file, from its top")
    for name in MARKS:
        parser.add_argument(f"--{name}", required=True, type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "champ.jsonl", champ())
    for name, mark in MARKS.items():
        lines = getattr(options, name).read_text(encoding="utf-8").splitlines()[: options.rows]
        write(options.out / f"{name}.jsonl", counted(map(json.loads, lines), mark))


def champ() -> Iterator[dict[str, Any]]:
    """The competition problems of the embedded corpus."""
    for row in demo_rows():
        if row["source"].startswith("champ"):
            yield {
                "id": row["id"],
                "question": row["question"],
                "answer": row["solution"],
                "topic": row["topic"],
                "steps": row["steps"],
            }


def counted(rows: Iterator[dict[str, Any]], mark: str) -> Iterator[dict[str, Any]]:
    """Rows with how often ``mark`` stands in their answer."""
    for number, row in enumerate(rows):
        answer = row["answer"]
        yield {
            "id": f"{number:04d}",
            "question": row["question"],
            "answer": answer,
            "steps": answer.count(mark),
        }


def write(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """One JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    main()
