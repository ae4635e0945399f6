"""Waiting in a browser on what the page says of itself, never on a time."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

# Two frames: by then what the last message brought is drawn, and its keys are listened to.
FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
RESTS = """() => {
  const app = document.querySelector("[data-testid=stApp]");
  return app !== null && app.dataset.testScriptState === "notRunning"
    && document.querySelector("[data-testid=stSkeleton], [data-stale=true]") === null;
}"""


def rest(page: Page) -> None:
    """Return once the page's script has ended and all that it sent is drawn.

    A key or a click before that can fall on what is about to be replaced, or on nothing at all.
    """
    page.evaluate(FRAMES)
    page.wait_for_function(RESTS, timeout=120_000)
    page.evaluate(FRAMES)


def click(page: Page, name: str) -> None:
    """Click the button of this name once the page rests."""
    button = page.get_by_role("button", name=name, exact=True)
    expect(button).to_be_visible()
    rest(page)
    button.click()


def fill(page: Page, label: str, text: str) -> None:
    """Type into the text or number box of this label and commit it, and wait for the answer."""
    box = page.get_by_role("textbox", name=label, exact=True).or_(
        page.get_by_role("spinbutton", name=label, exact=True)
    )
    expect(box).to_be_visible()
    rest(page)
    box.fill(text)
    box.press("Enter")
    rest(page)


def see_figure(page: Page, key: str) -> None:
    """Return once the figure of this key is drawn, alone: another may stand in its place before."""
    figure = page.locator(f".st-key-figure_{key} .js-plotly-plot")
    expect(figure.first).to_be_visible()
    rest(page)
    expect(figure).to_have_count(1)
    expect(figure).to_be_visible()


def faults(page: Page) -> list[str]:
    """Serious and critical findings of axe-core, with the first places of each.

    Streamlit's own list of pages is left out: it puts sections between a list and its items. The
    page is looked at once it rests: what is about to be replaced is drawn faint.
    """
    rest(page)
    page.evaluate(AXE_SCRIPT)
    result: dict[str, Any] = page.evaluate(
        "axe.run({exclude: ['[data-testid=stSidebarNavItems]']}, {resultTypes: ['violations']})"
    )
    return [
        f"{v['id']}: {[node['html'][:160] for node in v['nodes'][:3]]}"
        for v in result["violations"]
        if v["impact"] in ("serious", "critical")
    ]
