"""What reading every head costs, beside a bare forward pass of the body.

    python benchmarks/head_features.py [--model demo] [--shapes 16x64,8x128,4x512,1x2048]

Contenders, all on the same weights and batches: ``bare``, the SDPA body with nothing observed;
``profiles``, the reasoning heads and three random draws, as scoring has them, without early stop;
``all heads``, the same and five readings of every head. Each ratio is the median over interleaved
rounds in one process, of processor time on a CPU. Writes
benchmarks/results/head-features-DEVICE.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))

import torch

from benchmarks.machine import described
from benchmarks.shapes import load
from circuitseer_core.detection.heads import head_count
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.scoring.control_heads import control_heads
from circuitseer_core.scoring.head_features import observe_heads
from circuitseer_core.scoring.profiles import HeadPlan, observe

BAR = 2.0


def main() -> None:
    """Time, compare, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="demo")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--shapes", default="16x64,8x128,4x512,1x2048")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    reference = load(options.model, options.dtype, options.device)
    result: dict[str, Any] = {
        "machine": described(reference.device, ("torch", "transformers")),
        "shapes": {},
    }
    for shape in options.shapes.split(","):
        size, length = map(int, shape.split("x"))
        result["shapes"][shape] = measured(reference, size, length, options.rounds)
        print(shape, json.dumps(result["shapes"][shape]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"head-features-{reference.device.type}.json"
    target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    worst = max(entry["all heads / bare"] for entry in result["shapes"].values())
    print(f"worst ratio {worst:.2f}, bar {BAR}: {'holds' if worst <= BAR else 'MISSED'}")


def measured(reference: ReferenceModel, size: int, length: int, rounds: int) -> dict[str, Any]:
    """Seconds of every contender on one batch, and their ratios to the bare forward pass."""
    heads = reference.heads[
        :: max(1, len(reference.heads) // head_count(0.05, len(reference.heads)))
    ]
    draws = control_heads(heads, reference.heads_per_layer, 0)
    groups = [heads, *(draw for draw in draws if draw)]
    ids = torch.randint(100, 300, (size, length), device=reference.device)
    lengths = torch.full((size,), length, device=reference.device)
    kept = torch.ones_like(ids, dtype=torch.bool)
    some = HeadPlan(groups, reference.device)
    every = HeadPlan(groups, reference.device, alone=reference.heads)
    native = reference.model.config._attn_implementation

    def bare() -> None:
        reference.model.set_attn_implementation("sdpa")
        with torch.inference_mode():
            reference.body(input_ids=ids, use_cache=False)[0].sum().item()
        reference.model.set_attn_implementation(native)

    def profiles() -> None:
        observe(reference, ids, lengths, some, stop=False).observed.cpu()

    def all_heads() -> None:
        observe_heads(reference, ids, lengths, kept, every, stop=False).observed.cpu()

    contenders: dict[str, Callable[[], None]] = {
        "bare": bare,
        "profiles": profiles,
        "all heads": all_heads,
    }
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            began, used = time.perf_counter(), time.process_time()
            run()
            if number:  # the first round warms up
                wall[name].append(time.perf_counter() - began)
                cpu[name].append(time.process_time() - used)
    return {
        "seconds": {name: round(statistics.median(took), 4) for name, took in wall.items()},
        "cpu_seconds": {name: round(statistics.median(took), 4) for name, took in cpu.items()},
        "profiles / bare": ratio(clock(cpu, wall, reference), "profiles"),
        "all heads / bare": ratio(clock(cpu, wall, reference), "all heads"),
    }


def clock(
    cpu: dict[str, list[float]], wall: dict[str, list[float]], reference: ReferenceModel
) -> dict[str, list[float]]:
    """Processor time on a CPU, which others may be using too; time on the wall on a GPU."""
    return cpu if reference.device.type == "cpu" else wall


def ratio(seconds: dict[str, list[float]], name: str) -> float:
    """Median over rounds of a contender's time against the bare pass of the same round."""
    pairs = zip(seconds[name], seconds["bare"], strict=True)
    return round(statistics.median(a / b for a, b in pairs), 3)


if __name__ == "__main__":
    main()
