"""The app's pages as they are visited: address, main content, and changes to make there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from playwright.sync_api import Page

from benchmarks.page_clock import settle

RUN = "million"
"""The generated run's folder."""


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


def visit(page: Page, url: str, what: Visit) -> dict[str, float]:
    """Seconds from the start of the navigation to heading, content and rest."""
    page.goto(f"{url}{what.path}{'&' if '?' in what.path else '?'}run={RUN}")
    return settle(page)
