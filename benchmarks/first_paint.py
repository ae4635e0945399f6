"""Cold loads of the app from several checkouts, interleaved: does a change move first paint?

    python benchmarks/first_paint.py CHECKOUT CHECKOUT … [--pages Overview,Heads] [--loads 11]

Each checkout's app runs on the same small run of made-up numbers (80 x 64 heads, 300 rows). A load
is the first visit of a page in a fresh browser profile; the servers have answered before. In every
round each checkout loads each page once, in an order that turns, so that a busy machine is busy for
all. Prints the median and quartiles of seconds to heading, main content and rest.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.app_visits import RUN, VISITS, Visit, visit
from benchmarks.page_clock import STAGES, watch
from tests.browser.conftest import ARGS, CHROMIUM, start_server
from tests.support.synthetic import Shape, make_run


def main() -> None:
    """Start an app a checkout, load, print, stop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkouts", type=Path, nargs="+")
    parser.add_argument("--pages", default="Overview,Heads,Samples,Sources,Export")
    parser.add_argument("--loads", type=int, default=11)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        make_run(runs / RUN, Shape(rows=300, layers=80, heads=64, probe=12), seed=1)
        servers = [start_server(runs, checkout) for checkout in options.checkouts]
        try:
            pages = {name: VISITS[name] for name in options.pages.split(",")}
            report(loads([url for _, url in servers], pages, options.loads), options.checkouts)
        finally:
            for process, _ in servers:
                process.terminate()
                process.wait(timeout=20)


def loads(
    urls: list[str], pages: dict[str, Visit], count: int
) -> dict[tuple[str, int], list[list[float]]]:
    """(page, checkout) → seconds of every load to each stage. The first round warms the servers."""
    seconds: dict[tuple[str, int], list[list[float]]] = defaultdict(list)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        for number in range(count + 1):
            for name, what in pages.items():
                for step in range(len(urls)):
                    at = (number + step) % len(urls)
                    seen = load(browser, urls[at], what)
                    if number:
                        seconds[name, at].append(seen)
            print(f"round {number} of {count}", file=sys.stderr, flush=True)
        browser.close()
    return seconds


def load(browser: Browser, url: str, what: Visit) -> list[float]:
    """Seconds to each stage of a first visit in a fresh profile."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    watch(context, what.ready)
    seen = visit(context.new_page(), url, what)
    context.close()
    return [seen[stage] for stage in STAGES]


def report(seconds: dict[tuple[str, int], list[list[float]]], checkouts: list[Path]) -> None:
    """Print a Markdown table."""
    print(f"| page | checkout | {' | '.join(STAGES)} |")
    print("|---" * (2 + len(STAGES)) + "|")
    for (name, at), rows in sorted(seconds.items()):
        low, middle, high = np.quantile(rows, [0.25, 0.5, 0.75], axis=0)
        cells = [f"{m:.2f} ({a:.2f}–{b:.2f})" for a, m, b in zip(low, middle, high, strict=True)]
        print(f"| {name} | {checkouts[at].name} | {' | '.join(cells)} |")
    print(f"\nLoad average at the end: {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
