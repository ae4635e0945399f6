"""How long a page takes by its own clock, and what the server spends on it."""

from __future__ import annotations

import json

import psutil
from playwright.sync_api import BrowserContext, Page

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


def watch(context: BrowserContext | Page, ready: str, further: str = "") -> None:
    """Have every page note its times.

    ``ready``: selector of its main content; ``further``: a script that may use it too.
    """
    context.add_init_script(f"{{ const READY = {json.dumps(ready)};{WATCH}{further} }}")


def settle(page: Page) -> dict[str, float]:
    """What the page saw, in seconds, once it has rested for a moment."""
    page.wait_for_function(
        "() => seen.settled !== null && performance.now() - seen.settled > 300", timeout=120_000
    )
    milliseconds: dict[str, float] = page.evaluate("() => seen")
    return {name: (milliseconds[name] or 0.0) / 1000 for name in (*STAGES, "moved")}


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
