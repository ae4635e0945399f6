"""The app on a run of 1,000,000 scored samples, 20 sources and 80x64 heads, in Chromium.

    python benchmarks/app.py [--rows 1000000] [--keep FOLDER] [--repeats 3]

The run is made of random numbers (tests/support/synthetic.py). For every page: *cold* is the first
visit after the server started, in a fresh browser profile; *warm* a reload in the same profile, the
median of the repeats. Times are the page's own, from the start of the navigation to the frame that
shows the heading, the main content (a figure, where the page is about one), and the page at rest:
script idle, nothing stale, no placeholder. A widget change counts from the input to rest. Bars: 2.5
s cold and 1 s warm, any change 1 s, memory 1.5 GiB.

Beside the times stand the server's own CPU seconds, which other work on the machine stretches far
less: a page that is slow by them is slow for a reason of its own. Prints a table and writes
benchmarks/results/app.json and app.md. Timings on a busy machine say little: the load average at
the start, and at every page, is part of the result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.app_table import table
from benchmarks.app_visits import RUN, VISITS, Visit, visit
from benchmarks.page_clock import STAGES, CpuClock, settle, watch
from tests.browser.conftest import ARGS, CHROMIUM, start_server
from tests.support.synthetic import Shape, make_run

RESULTS = ROOT / "benchmarks" / "results"


def measure_page(
    browser: Browser, url: str, what: Visit, repeats: int, server: psutil.Process
) -> dict[str, Any]:
    """Cold and warm visits of one page and its changes, in seconds, and the server's CPU time."""
    load, cpu = round(os.getloadavg()[0], 1), CpuClock(server)
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    watch(context, what.ready)
    page = context.new_page()
    cpu.lap()
    cold = visit(page, url, what)
    used = {"cold": cpu.lap()}
    laps = [visit(page, url, what) for _ in range(repeats)]
    used["warm"] = round(cpu.lap() / repeats, 2)
    changes = {}
    for name, change in what.changes.items():
        change(page)
        seen = settle(page)
        changes[name] = round(seen["settled"] - seen["moved"], 2)
        used[name] = cpu.lap()
    context.close()
    return {
        "load": load,
        "server_cpu": used,
        "cold": {stage: round(cold[stage], 2) for stage in STAGES},
        "warm": {
            stage: round(statistics.median(lap[stage] for lap in laps), 2) for stage in STAGES
        },
        "changes": changes,
    }


def measure(runs: Path, repeats: int, names: list[str]) -> dict[str, Any]:
    """All pages, each cold visit on a server of its own; memory after visiting all on one."""
    pages: dict[str, Any] = {}
    chosen = {name: VISITS[name] for name in names}
    starts = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        for name, what in chosen.items():
            started = time.perf_counter()
            forget_review(runs)
            process, url = start_server(runs)
            starts.append(time.perf_counter() - started)
            pages[name] = measure_page(browser, url, what, repeats, psutil.Process(process.pid))
            print(name, json.dumps(pages[name]), flush=True)
            process.terminate()
            process.wait(timeout=20)
        forget_review(runs)
        process, url = start_server(runs)
        context = browser.new_context()
        peak = 0.0
        for what in chosen.values():
            page = context.new_page()
            watch(page, what.ready)
            visit(page, url, what)
            for change in what.changes.values():
                change(page)
                settle(page)
            peak = max(peak, psutil.Process(process.pid).memory_info().rss / 2**30)
            page.close()
        process.terminate()
        process.wait(timeout=20)
        browser.close()
    return {
        "pages": pages,
        "start": round(statistics.median(starts), 1),
        "memory_gib": round(peak, 2),
    }


def forget_review(runs: Path) -> None:
    """A batch that was begun in an earlier visit would be taken up instead of begun."""
    (runs / RUN / "review.jsonl").unlink(missing_ok=True)


def main() -> None:
    """Make the run, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pages", default=",".join(VISITS), help="a comma-separated part of them")
    parser.add_argument("--keep", type=Path, help="folder for the run, used again if it is there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        runs = options.keep or Path(scratch)
        if not (runs / RUN / "run.json").is_file():
            started = time.perf_counter()
            shape = Shape(
                rows=options.rows, sources=20, layers=80, heads=64, probe=300, profiles=20_000
            )
            make_run(runs / RUN, shape)
            print(f"run made in {time.perf_counter() - started:.0f} s")
        load = round(os.getloadavg()[0], 1)
        result = measure(runs, options.repeats, options.pages.split(",")) | {
            "rows": options.rows,
            "machine": f"{os.cpu_count()} cores, {platform.machine()}",
            "load": load,
        }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "app.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "app.md").write_text(table(result) + "\n", encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    main()
