"""Drawing 1,000,000 of 10,000,000 scores: time and peak memory, against numpy's weighted choice.

    python benchmarks/sampling.py [--rows 10000000] [--repeats 3]

Every contender runs in a process of its own on two cores, so that peak memory is its own. The
data (id, source, n_tokens, variance) is made once, as Parquet in a temporary folder. Goal: the
whole of ``select`` within 60 s and 2 GiB.

Writes benchmarks/results/sampling.json and sampling.md and prints the table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CORES = 2
FRACTION = 0.1
SECONDS_GOAL, GIB_GOAL = 60.0, 2.0

CONTENDERS = {
    "select_files": "`select` on Parquet files (read, draw, fetch the chosen rows)",
    "select_frame": "`select` on a frame in memory",
    "draw": "its draw alone, hashes of ids at hand",
    "diagnose": "its diagnostics (200 simulated seeds)",
    "numpy_generator": "numpy `Generator.choice(replace=False, p=…)`",
    "numpy_legacy": "numpy `random.choice(replace=False, p=…)`",
}


def main() -> None:
    """Parse options; without ``--contender`` run all of them and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--contender", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(measure(options.contender, options.data)))
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "scores.parquet"
        make_data(data, options.rows)
        runs = {name: [] for name in CONTENDERS}
        for _ in range(options.repeats):  # in turn, so that a slow spell hits all alike
            for name in CONTENDERS:
                runs[name].append(in_own_process(name, data))
    report(options.rows, runs)


def make_data(path: Path, rows: int, batch: int = 1_000_000) -> None:
    """Write the pool: eight sources, log-normal scores, ids as a real run has them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    writer = None
    for start in range(0, rows, batch):
        count = min(batch, rows - start)
        numbers = pa.array(np.arange(start, start + count)).cast(pa.string())
        source = pa.array([f"source_{i}" for i in range(8)]).take(rng.integers(0, 8, count))
        table = pa.table(
            {
                "id": pc.binary_join_element_wise(source, numbers, "/"),
                "source": source,
                "n_tokens": pa.array(rng.integers(10, 400, count), pa.int32()),
                "variance": rng.lognormal(0, 1, count),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=65_536)
    if writer is not None:
        writer.close()


def in_own_process(name: str, data: Path) -> dict[str, float]:
    """One measurement in a fresh interpreter on two cores."""
    environment = os.environ | {"OMP_NUM_THREADS": str(CORES), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, "--contender", name, "--data", str(data)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    cost: dict[str, float] = json.loads(done.stdout)
    cost_line = f"{cost['seconds']:8.2f} s ({cost['cpu']:.2f} CPU) {cost['gib']:6.2f} GiB"
    print(f"{name:16} {cost_line}", file=sys.stderr)
    return cost


def measure(name: str, data: Path) -> dict[str, float]:
    """Seconds of the contender's own work and the peak memory of the whole process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    work = prepare(name, data)
    before, worked = time.perf_counter(), time.process_time()
    taken = work()
    seconds, cpu = time.perf_counter() - before, time.process_time() - worked
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"seconds": seconds, "cpu": cpu, "gib": peak / 2**30, "taken": taken}


def prepare(name: str, data: Path) -> Any:
    """Load what the contender starts from; return its work, which returns the rows it took."""
    import numpy as np
    import pandas as pd

    if name == "select_files":
        from circuitseer_core.selection.select import select

        return lambda: len(select(data, fraction=FRACTION))
    if name == "select_frame":
        frame = pd.read_parquet(data)
        from circuitseer_core.selection.select import select

        return lambda: len(select(frame, fraction=FRACTION))
    if name == "diagnose":
        return prepare_diagnose(data)
    scores = pd.read_parquet(data, columns=["variance"])["variance"].to_numpy()
    k = round(FRACTION * len(scores))
    if name == "draw":
        from circuitseer_core.hashing import to_gumbels
        from circuitseer_core.selection.gumbel import key_order, sampling_keys

        hashes = np.random.default_rng(1).integers(0, 2**64, len(scores), dtype=np.uint64)

        def draw() -> int:
            noise = to_gumbels(hashes)
            return len(key_order(sampling_keys(scores, noise, 1.0), noise)[:k])

        return draw

    def choice() -> int:
        chances = scores / scores.sum()
        if name == "numpy_legacy":
            made = np.random.RandomState(0).choice(len(scores), k, replace=False, p=chances)
        else:
            made = np.random.default_rng(0).choice(len(scores), k, replace=False, p=chances)
        return len(made)

    return choice


def prepare_diagnose(data: Path) -> Any:
    """A finished draw, to be diagnosed."""
    import pandas as pd

    from circuitseer_core.selection.diagnostics import diagnose
    from circuitseer_core.selection.draw import draw
    from circuitseer_core.selection.pool import make_pool
    from circuitseer_core.selection.settings import SelectionSettings
    from circuitseer_core.selection.sift import Rules

    frame = pd.read_parquet(data)
    pool = make_pool(frame, "variance", tokens=frame["n_tokens"].to_numpy("int64"))
    drawing = draw(pool, SelectionSettings.of(fraction=FRACTION), Rules(duplicates=False))
    return lambda: diagnose(drawing)["rows"]


def report(rows: int, runs: dict[str, list[dict[str, float]]]) -> None:
    """Write JSON and Markdown, print the table; exit 1 where the goal is missed."""
    best = {
        name: {
            "seconds": min(r["seconds"] for r in cost),
            "cpu": min(r["cpu"] for r in cost),
            "seconds_all": [round(r["seconds"], 3) for r in cost],
            "gib": max(r["gib"] for r in cost),
            "taken": cost[0]["taken"],
        }
        for name, cost in runs.items()
    }
    machine = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": CORES,
        "load_average": round(os.getloadavg()[0], 1),
        **{name: version(name) for name in ("numpy", "pandas", "pyarrow")},
    }
    slowest = max(best[n]["seconds"] for n in ("select_files", "select_frame"))
    largest = max(best[n]["gib"] for n in ("select_files", "select_frame"))
    met = slowest <= SECONDS_GOAL and largest <= GIB_GOAL
    RESULTS.mkdir(parents=True, exist_ok=True)
    content = {"rows": rows, "fraction": FRACTION, "goal_met": met, "machine": machine, **best}
    (RESULTS / "sampling.json").write_text(json.dumps(content, indent=2) + "\n")
    text = markdown(rows, best, machine, met)
    (RESULTS / "sampling.md").write_text(text)
    print(text)
    if not met:
        raise SystemExit("the goal is missed")


def markdown(rows: int, best: dict[str, dict[str, Any]], machine: dict[str, Any], met: bool) -> str:
    """The section for RESULTS.md."""
    base = best["numpy_generator"]["cpu"]
    lines = [
        "## Drawing a subset",
        "",
        (
            f"{best['draw']['taken']:,} of {rows:,} scores without replacement, two cores, best of "
            f"{len(best['draw']['seconds_all'])} (peak memory: worst of them, the whole process "
            "with its data)."
        ),
        "",
        "| | seconds | CPU seconds | CPU against numpy's Generator | peak GiB |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, label in CONTENDERS.items():
        cost = best[name]
        ratio = f"{cost['cpu'] / base:.2f}×" if name != "diagnose" else ""
        row = (
            label,
            f"{cost['seconds']:.2f}",
            f"{cost['cpu']:.2f}",
            ratio,
            f"{cost['gib']:.2f}",
        )
        lines.append(f"| {' | '.join(row)} |")
    lines += [
        "",
        (
            f"Goal, the whole of `select` within {SECONDS_GOAL:.0f} s and {GIB_GOAL:.0f} GiB: "
            f"{'met' if met else 'missed'}. `select` hashes every id, which is what makes its "
            "subset independent of row order, shards and machine; numpy's calls have no such "
            "property."
        ),
        "",
        (
            f"Python {machine['python']}, numpy {machine['numpy']}, pandas {machine['pandas']}, "
            f"pyarrow {machine['pyarrow']}, {machine['machine']}; load average "
            f"{machine['load_average']} at the end (above {CORES} other work slowed the clock, and "
            "CPU seconds are the fairer measure)."
        ),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
