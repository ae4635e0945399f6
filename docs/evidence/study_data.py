"""The pool, the probe's rows and the held-out samples of the training study, as files.

    python docs/evidence/study_data.py --out FOLDER --gsm8k train.jsonl --gsm8k-test test.jsonl \\
        --svamp svamp.jsonl --aqua dev.jsonl --instructions instructions.jsonl

The lines of every file in order of their SHA-256: of GSM8K's training problems the first 120 are
probe.jsonl and the others the pool; of SVAMP the first 100, of AQuA 40, of the instructions 60, and
all of GSM8K's test problems, are held out. Rows of the pool get ``steps``: marks of worked steps in
the answer, as in calibration_data.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

MARKS = {"gsm8k": "<<", "svamp": "(", "aqua": "="}
HELD_OUT = {"svamp": 100, "aqua": 40, "instructions": 60}
PROBE = 120


def main() -> None:
    """Write FOLDER/probe.jsonl, FOLDER/pool/ and FOLDER/heldout/."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", required=True, type=Path)
    for name in ("gsm8k", "gsm8k-test", *HELD_OUT):
        parser.add_argument(f"--{name}", required=True, type=Path)
    asked = parser.parse_args()
    gsm8k = by_hash(asked.gsm8k)
    write(asked.out / "probe.jsonl", gsm8k[:PROBE])
    write(asked.out / "pool" / "gsm8k.jsonl", with_steps(gsm8k[PROBE:], "gsm8k"))
    write(asked.out / "heldout" / "gsm8k.jsonl", by_hash(asked.gsm8k_test))
    for name, first in HELD_OUT.items():
        lines = by_hash(getattr(asked, name))
        write(asked.out / "heldout" / f"{name}.jsonl", lines[:first])
        write(asked.out / "pool" / f"{name}.jsonl", with_steps(lines[first:], name))


def by_hash(path: Path) -> list[str]:
    """The lines of a file in order of their SHA-256."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return sorted(lines, key=lambda line: hashlib.sha256(line.encode()).hexdigest())


def with_steps(lines: list[str], name: str) -> list[str]:
    """Rows with ``steps`` where the answers of the file mark any."""
    if name not in MARKS:
        return lines
    rows = [json.loads(line) for line in lines]
    for row in rows:
        row["steps"] = row["answer"].count(MARKS[name])
    return [json.dumps(row, ensure_ascii=False) for row in rows]


def write(path: Path, lines: list[str]) -> None:
    """One line each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
