"""The app on a run of 1,000,000 scored samples, 20 sources and 80x64 heads, in Chromium.

    python benchmarks/app.py [--rows 1000000] [--keep FOLDER] [--repeats 3]

The run is made of random numbers (tests/synthetic.py). For every page: *cold* is the first visit
after the server started, in a fresh browser profile; *warm* a reload in the same profile, the
median of the repeats. Times are the page's own, from the start of the navigation to the frame that
shows the heading, the main content (a figure, where the page is about one), and the page at rest:
script idle, nothing stale, no placeholder. A widget change counts from the input to rest. Bars:
2.5 s cold and 1 s warm, any change 1 s, memory 1.5 GiB.

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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.conftest import ARGS, CHROMIUM, start_server
from tests.support.synthetic import Shape, make_run

RESULTS = ROOT / "benchmarks" / "results"
PAINT_COLD, PAINT_WARM, CHANGE, GIB = 2.5, 1.0, 1.0, 1.5
STAGES = ("heading", "content", "settled")

WATCH = """
  const seen = {heading: null, content: null, settled: null, moved: null, busy: false};
  window.seen = seen;
  const roots = () => [
    document,
    ...[...document.querySelectorAll('[data-testid="stBidiComponentIsolated"]')]
      .map((host) => host.shadowRoot).filter(Boolean),
  ];
  const visible = (selector) => roots().some((root) => {
    const found = root.querySelector(selector);
    return !!found && found.getClientRects().length > 0;
  });
  const settled = () => {
    const app = document.querySelector('[data-testid="stApp"]');
    if (!app || app.dataset.testScriptState !== 'notRunning') return false;
    return !document.querySelector('[data-testid="stSkeleton"], [data-stale="true"]');
  };
  for (const kind of ['pointerdown', 'keydown', 'input']) {
    addEventListener(
      kind,
      () => Object.assign(seen, {moved: performance.now(), busy: false, settled: null}),
      true,
    );
  }
  const look = (now) => {
    if (seen.heading === null && visible('h1')) seen.heading = now;
    if (seen.content === null && seen.heading !== null && visible(READY)) seen.content = now;
    const idle = settled();
    if (!idle) Object.assign(seen, {busy: true, settled: null});
    else if (seen.busy && seen.content !== null && seen.settled === null) seen.settled = now;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
"""
"""Runs in the page at every frame: when things came to the screen, by the page's own clock."""


@dataclass(frozen=True)
class Visit:
    """A page: its address, what must be on the screen, and changes to make there."""

    path: str
    ready: str
    changes: dict[str, Callable[[Page], None]] = field(default_factory=dict)


def radio(name: str) -> Callable[[Page], None]:
    """Choose an option of a segmented control."""
    return lambda page: page.get_by_role("radio", name=name, exact=True).first.click()


def number(label: str, value: str) -> Callable[[Page], None]:
    """Type into a number box."""

    def change(page: Page) -> None:
        box = page.get_by_role("spinbutton", name=label, exact=True).first
        box.fill(value)
        box.press("Enter")

    return change


def nudge(key: str) -> Callable[[Page], None]:
    """Move a slider by one step with the keyboard."""
    return lambda page: page.locator(f".st-key-{key} input[type=range]").first.press("ArrowRight")


def choose(key: str, option: str) -> Callable[[Page], None]:
    """Choose an option of a select box."""

    def change(page: Page) -> None:
        page.locator(f".st-key-{key} input").first.click()
        page.get_by_role("option", name=option, exact=True).click()

    return change


def press_button(name: str) -> Callable[[Page], None]:
    """Press a button."""
    return lambda page: page.get_by_role("button", name=name).click()


def key(name: str) -> Callable[[Page], None]:
    """Press a key."""
    return lambda page: page.keyboard.press(name)


def click_map(page: Page) -> None:
    """Click a cell of the head map."""
    box = page.locator("canvas[role=application]").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 60, box["y"] + 100)


def search(page: Page) -> None:
    """Search all texts."""
    box = page.locator(".st-key-q input")
    box.fill("twice the area")
    box.press("Enter")


GAP = "Least gap, percentiles"
VISITS = {
    "Overview": Visit("/", ".st-key-grid4_numbers"),
    "Runs": Visit("/runs", ".st-key-card_job", {"open the form": radio("Start")}),
    "Heads": Visit(
        "/heads",
        "[data-ready]",
        {
            "click a cell": click_map,
            "type a head": number("Head", "33"),
            "share slider": nudge("share"),
            "by count": radio("Count"),
            "stability": radio("Stability"),
            "layers": radio("Layers"),
            "sources": radio("Sources"),
        },
    ),
    "Try it": Visit(
        "/try_it",
        "[data-ready]",
        {
            "click a cell": click_map,
            "next sample": press_button("Next sample"),
        },
    ),
    "Samples": Visit(
        "/samples",
        ".st-key-rows",
        {"another scorer": choose("scorer", "focus"), "search": search},
    ),
    "High and low": Visit(
        "/samples?view=High+and+low",
        ".st-key-contrast_high",
        {"fewer pairs": number("Pairs", "5"), "a smaller gap": number(GAP, "10")},
    ),
    "Side by side": Visit(
        "/samples?view=Side+by+side", ".st-key-card_high", {"next pair": number("Pair", "2")}
    ),
    "Blind review": Visit(
        "/samples?view=Blind+review",
        ".st-key-review_form, .st-key-blind_A",
        {"start a batch": press_button("Start the batch"), "a verdict": key("a")},
    ),
    "Sources": Visit(
        "/sources",
        ".st-key-figure_histogram .js-plotly-plot",
        {"another scorer": choose("scorer", "focus")},
    ),
    "Calibrate": Visit("/calibrate", "[data-testid=stMain] h3"),
    "Export": Visit(
        "/export",
        ".st-key-grid2_draw .js-plotly-plot",
        {"temperature": nudge("temperature"), "seed": number("Seed", "7")},
    ),
    "Evidence": Visit("/evidence", ".st-key-card_evidence_length", {}),
}


def settle(page: Page) -> dict[str, float]:
    """What the page saw, in seconds, once it has rested for a moment."""
    page.wait_for_function(
        "() => seen.settled !== null && performance.now() - seen.settled > 300", timeout=120_000
    )
    milliseconds: dict[str, float] = page.evaluate("() => seen")
    return {name: (milliseconds[name] or 0.0) / 1000 for name in (*STAGES, "moved")}


def visit(page: Page, url: str, what: Visit) -> dict[str, float]:
    """Seconds from the start of the navigation to heading, content and rest."""
    page.goto(f"{url}{what.path}{'&' if '?' in what.path else '?'}run=million")
    return settle(page)


class CpuClock:
    """The CPU seconds of a process since the lap before."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._before = self._now()

    def lap(self) -> float:
        """Seconds, of all its threads, in user and kernel mode."""
        now = self._now()
        used, self._before = round(now - self._before, 2), now
        return used

    def _now(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def measure_page(
    browser: Browser, url: str, what: Visit, repeats: int, server: psutil.Process
) -> dict[str, Any]:
    """Cold and warm visits of one page and its changes, in seconds, and the server's CPU time."""
    load, cpu = round(os.getloadavg()[0], 1), CpuClock(server)
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.add_init_script(f"{{ const READY = {json.dumps(what.ready)};{WATCH} }}")
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
            page.add_init_script(f"{{ const READY = {json.dumps(what.ready)};{WATCH} }}")
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
    (runs / "million" / "review.jsonl").unlink(missing_ok=True)


def table(result: dict[str, Any]) -> str:
    """The result as Markdown, values over their bar in bold."""
    heads = "cold: heading | content | rest | warm: heading | content | rest | CPU | load"
    lines = [
        f"| page | {heads} | changes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, page in result["pages"].items():
        cells = [
            _marked(page[lap][stage], bar)
            for lap, bar in (("cold", PAINT_COLD), ("warm", PAINT_WARM))
            for stage in STAGES
        ]
        slowest = sorted(page["changes"].items(), key=lambda item: -item[1])
        used = page["server_cpu"]
        changes = ", ".join(
            f"{what} {_marked(seconds, CHANGE)} (CPU {used[what]:.2f})" for what, seconds in slowest
        )
        cells += [f"{used['cold']:.2f}, {used['warm']:.2f}", f"{page['load']:.0f}"]
        lines.append(f"| {name} | {' | '.join(cells)} | {changes} |")
    over = " (over)" if result["memory_gib"] > GIB else ""
    lines.append(f"\nMemory of the app after all pages: {result['memory_gib']} GiB{over}.")
    lines.append("CPU: seconds of the server for a cold and for a warm visit, and for a change.")
    lines.append(f"The server answers {result['start']} s after its start.")
    lines.append(f"Bars, in seconds: {PAINT_COLD} cold, {PAINT_WARM} warm, {CHANGE} a change.")
    lines.append(f"{result['machine']}; load average at the start {result['load']}.")
    return "\n".join(lines)


def _marked(seconds: float, bar: float) -> str:
    return f"{seconds:.2f}" if seconds <= bar else f"**{seconds:.2f}**"


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
        if not (runs / "million" / "run.json").is_file():
            started = time.perf_counter()
            shape = Shape(
                rows=options.rows, sources=20, layers=80, heads=64, probe=300, profiles=20_000
            )
            make_run(runs / "million", shape)
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
