"""How long Try it takes to answer for a text of 60 tokens, with SmolLM2 on the bundled run.

    python benchmarks/try_it.py [--tokens 60] [--repeats 5] [--threads 2]

In Chromium, once the model is loaded: another prompt is typed, and the clock runs from the key
press to each part of the answer and to the page at rest, losses (clean, ablated, five draws of
random heads) and a continuation of 24 tokens, clean and ablated, with the bundled run's reasoning
set. Beside the times stand the server's CPU seconds. Every prompt is new, so nothing comes from a
cache. Prints a table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

import psutil
from playwright.sync_api import Page, sync_playwright
from transformers import AutoTokenizer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.page_clock import CpuClock, settle, watch
from circuitseer_core.data.demo import demo_rows
from circuitseer_core.model.demo import model_folder
from tests.browser.conftest import ARGS, CHROMIUM, start_server

LOSSES = ".st-key-grid4_try_numbers"
WRITTEN = ".st-key-card_written_Ablated [data-testid='stText']"
SEEN = """
  window.parts = {};
  const watch = (now) => {
    for (const [name, text] of Object.entries(window.wanted || {})) {
      const box = document.querySelector(text.selector);
      const fresh = box && !box.closest('[data-stale="true"]') && box.innerText !== text.before;
      if (fresh && window.parts[name] === undefined) window.parts[name] = now;
    }
    requestAnimationFrame(watch);
  };
  requestAnimationFrame(watch);
"""


def prompts(tokens: int, count: int) -> list[str]:
    """Texts of just so many tokens of SmolLM2, put together from the embedded problems."""
    encode = AutoTokenizer.from_pretrained(model_folder())
    words = " ".join(str(row["question"]) for row in demo_rows()).split()
    texts: list[str] = []
    start = 0
    for _ in range(count):
        stop = start + 1
        while len(encode(" ".join(words[start:stop]))["input_ids"]) < tokens:
            stop += 1
        texts.append(" ".join(words[start:stop]))
        start = stop
    return texts


def answer(page: Page, prompt: str, cpu: CpuClock) -> dict[str, float]:
    """Seconds from the key press to the losses, to the first words of both continuations and to
    rest, and the server's CPU seconds."""
    cpu.lap()
    box = page.get_by_role("textbox", name="Prompt", exact=True)
    box.fill(prompt)
    page.evaluate(
        """(boxes) => { window.parts = {}; window.wanted = Object.fromEntries(
          Object.entries(boxes).map(([name, selector]) => [name, {selector,
            before: document.querySelector(selector)?.innerText}])); }""",
        {"losses": LOSSES, "words": WRITTEN},
    )
    box.press("Control+Enter")
    seen = settle(page)
    parts: dict[str, float] = page.evaluate("() => window.parts")
    return {
        "losses": parts.get("losses", float("nan")) / 1000 - seen["moved"],
        "words": parts.get("words", float("nan")) / 1000 - seen["moved"],
        "rest": seen["settled"] - seen["moved"],
        "cpu": cpu.lap(),
    }


def main() -> None:
    """Load the model in the app, type prompts, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    texts = prompts(options.tokens, options.repeats + 1)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as empty, sync_playwright() as playwright:
        server, url = start_server(Path(empty), OMP_NUM_THREADS=str(options.threads))
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            watch(page, "[data-ready]", SEEN)
            page.goto(f"{url}/try_it?run=bundled-demo")
            settle(page)
            cpu = CpuClock(psutil.Process(server.pid))
            answer_of_sample = page.get_by_role("textbox", name="Response", exact=True)
            answer_of_sample.fill("")
            answer_of_sample.press("Control+Enter")
            settle(page)
            page.get_by_role("button", name="Load the model and try").click()
            page.wait_for_selector(WRITTEN, timeout=120_000)
            loading = settle(page)
            laps = [answer(page, text, cpu) for text in texts]
            browser.close()
        finally:
            server.terminate()
            server.wait()
    print(f"loading and the first answer: {loading['settled'] - loading['moved']:.1f} s")
    print(f"prompts of {options.tokens} tokens, {options.threads} threads, load {load:.1f}")
    print("| | losses | first words | rest | server's CPU |\n|---|---|---|---|---|")
    for number, lap in enumerate(laps):
        print(f"| {number} | {' | '.join(f'{value:.2f}' for value in lap.values())} |")
    middle = {name: statistics.median(lap[name] for lap in laps[1:]) for name in laps[0]}
    cells = " | ".join(f"{value:.2f}" for value in middle.values())
    print(f"| median, the first left out | {cells} |")


if __name__ == "__main__":
    main()
