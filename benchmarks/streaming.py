"""Memory of scoring while the dataset grows: a tiny model, so that nothing but the stream matters.

    python benchmarks/streaming.py [--rows 1000000]

Scores one JSON Lines file of that many short prompts, with controls, and prints the process's
resident memory before (libraries and model loaded) and at its peak. Linux only.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))

import torch

from benchmarks.machine import described
from circuitseer_core.scoring.score import score
from circuitseer_core.scoring.settings import ScoreSettings
from tests.support.detected_run import detected_run


def main() -> None:
    """Write the data, score it, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "big.jsonl"
        write(data, options.rows)
        run = detected_run(Path(folder))
        before = resident("VmRSS")
        began = time.perf_counter()
        settings = score(run, ScoreSettings(data=[f"big={data}"]))
        seconds = time.perf_counter() - began
    result = {
        "machine": described(torch.device("cpu"), ("torch", "transformers")),
        "rows": settings.rows,
        "tokens": settings.tokens,
        "seconds": round(seconds, 1),
        "mib_before": before,
        "mib_peak": resident("VmHWM"),
    }
    print(json.dumps(result, indent=2))
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / "streaming.json"
    target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def write(path: Path, rows: int) -> None:
    """Questions of about thirty tokens each, every one with an answer."""
    with path.open("w", encoding="utf-8") as file:
        for i in range(rows):
            question = f"What is {i} plus {i % 97}, and then take {i % 13} away?"
            row = {"id": str(i), "question": question, "answer": f"It is {i + i % 97 - i % 13}."}
            file.write(json.dumps(row) + "\n")


def resident(kind: str) -> int:
    """This process's resident memory in MiB: ``VmRSS`` now, ``VmHWM`` at its peak."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(x for x in lines if x.startswith(kind)).split()[1]) // 1024


if __name__ == "__main__":
    main()
