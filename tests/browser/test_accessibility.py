"""What everybody can read and reach: axe-core on every page, keys, and narrow windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect

from tests.browser.conftest import PATIENCE_MS, WINDOW, Server
from tests.support.browser import click, faults, rest
from tests.support.slow_machine import slow_page

PAGES = (
    "overview", "runs", "runs?runs_view=Start", "runs?runs_view=Import scores",
    "runs?runs_view=Clusters", "heads", "heads?heads_view=Sparsity", "heads?heads_view=Layers",
    "heads?heads_view=Stability", "heads?heads_view=Sources", "heads?heads_view=Sinks",
    "heads?heads_view=Compare", "try_it", "samples", "samples#One head",
    "samples?view=Side by side", "samples?view=High and low", "samples?view=Blind review",
    "sources", "sources?shape=Boxes", "sources?shape=Cumulative",
    "sources?sources_view=Two scorings", "export", "export?before_after=Length",
    "export?stratify=equal for every stratum", "calibrate", "evidence",
)  # fmt: skip
"""The most different of those in tests/support/every_view.py; behind #: what no link can choose."""
CLIPPED = """() => {
  const wide = innerWidth + 1
  const scrolls = (e) => {
    for (let p = e.parentElement; p && p.dataset.testid !== 'stMain'; p = p.parentElement) {
      if (['auto', 'scroll'].includes(getComputedStyle(p).overflowX)) return true
    }
    return false
  }
  return [...document.querySelectorAll('[data-testid=stMainBlockContainer] *')]
    .filter((e) => e.getBoundingClientRect().width && e.getBoundingClientRect().right > wide)
    .filter((e) => !e.closest('details:not([open])') && !scrolls(e)).slice(0, 5)
    .map((e) => `${e.tagName} ${e.dataset.testid ?? e.className}`)
}"""

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
Tabs = dict[Scheme, Page]

ON_A_TOOLBAR = """() => {
  const at = document.activeElement
  if (at.closest('.modebar')) return true
  const bar = at.closest('[data-testid=stElementToolbar]')
  return !!bar && !!bar.parentElement.querySelector('[data-testid=stPlotlyChart]')
}"""


@pytest.fixture(scope="module")
def tabs(chromium: Browser, server: Server) -> Iterator[Tabs]:
    """A tab for every scheme, which keeps the app's scripts from page to page."""
    contexts = [
        chromium.new_context(color_scheme=scheme, base_url=server.url) for scheme in SCHEMES
    ]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        page.set_default_timeout(PATIENCE_MS)
        slow_page(page)
    yield dict(zip(SCHEMES, pages, strict=True))
    for context in contexts:
        context.close()


def arrive(page: Page, path: str) -> None:
    link, _, choice = path.partition("#")
    mark = "&" if "?" in link else "?"
    page.goto(f"/{link.removeprefix('overview')}{mark}run=small")
    expect(page.locator("[data-testid=stMainBlockContainer] h1")).to_be_visible()
    rest(page)
    if choice:
        page.get_by_role("radio", name=choice).click()
        rest(page)


def clipped(page: Page) -> list[str]:
    """What the window's right edge cuts off."""
    try:  # figures take the window's width after they are drawn; what stays clipped is a fault
        page.wait_for_function(f"() => ({CLIPPED})().length === 0", timeout=30_000)
        return []
    except TimeoutError:
        clipped: list[str] = page.evaluate(CLIPPED)
        return clipped


@pytest.mark.parametrize("path", PAGES)
def test_opened_narrow_nothing_is_clipped_and_widened_axe_finds_nothing(
    tabs: Tabs, path: str
) -> None:
    """One visit a scheme, since opening a page costs more than looking at it.

    A window opened at 400 px has no sidebar, one opened at 900 px has: pages take turns in which
    scheme they are opened with which, so that the sidebar is looked at in both.
    """
    widths = (400, 900) if PAGES.index(path) % 2 else (900, 400)
    problems = {}
    for width, (scheme, page) in zip(widths, tabs.items(), strict=True):
        page.set_viewport_size({"width": width, "height": 900})
        arrive(page, path)
        problems[f"{width} px"] = clipped(page)
        page.set_viewport_size(WINDOW)
        problems[scheme] = faults(page)
    assert not {where: lines for where, lines in problems.items() if lines}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_serious_around_an_open_menu(tabs: Tabs, scheme: Scheme) -> None:
    """Its button has colours of its own while it is open."""
    page = tabs[scheme]
    page.set_viewport_size(WINDOW)
    arrive(page, "evidence")
    page.get_by_role("button", name="Options").first.click()
    expect(page.get_by_test_id("stPopoverBody")).to_be_visible()
    assert not faults(page)


def test_axe_would_find_a_button_without_a_name(page: Page) -> None:
    arrive(page, "overview")
    page.evaluate(
        "document.querySelector('h1').insertAdjacentHTML('afterend', '<button></button>')"
    )
    assert any("button-name" in line for line in faults(page))


def test_a_row_that_is_opened_on_a_narrow_window_is_shown(page: Page) -> None:
    page.set_viewport_size({"width": 400, "height": 900})
    arrive(page, "samples")
    head = page.locator(".st-key-detail_head")
    expect(page.locator(".row").nth(3)).to_be_visible()
    page.locator(".row").nth(3).click()
    expect(page.locator(".row").nth(3)).to_have_attribute("aria-selected", "true")
    expect(head).to_be_in_viewport()


def test_j_and_k_turn_samples_over_and_leave_fields_alone(page: Page) -> None:
    arrive(page, "samples")
    rows = page.locator(".row")
    expect(rows.nth(0)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("j")
    expect(rows.nth(1)).to_have_attribute("aria-selected", "true")
    rest(page)
    page.keyboard.press("k")
    expect(rows.nth(0)).to_have_attribute("aria-selected", "true")
    box = page.get_by_role("textbox").first
    box.click()
    box.press("j")
    expect(box).to_have_value("j")
    expect(rows.nth(0)).to_have_attribute("aria-selected", "true")


def test_j_and_k_go_on_past_the_edge_of_a_page(page: Page) -> None:
    arrive(page, "samples")
    number = page.locator(".row.chosen .rank")
    expect(number).to_have_text("1")
    page.locator(".row").nth(11).click()
    expect(number).to_have_text("12")
    for key, rank in (("j", "13"), ("k", "12"), ("j", "13"), ("j", "14")):
        rest(page)
        page.keyboard.press(key)
        expect(number).to_have_text(rank)
    click(page, "Next page")
    expect(number).to_have_count(0)  # the open sample stays, on the page before
    rest(page)
    page.keyboard.press("k")
    expect(number).to_have_text("36")
    expect(page.get_by_text("3 / ")).to_be_visible()


def test_j_in_a_view_of_two_lists_opens_nothing(page: Page) -> None:
    arrive(page, "samples?view=High and low")
    expect(page.locator(".st-key-contrast_low .row").first).to_be_visible()
    rest(page)
    page.keyboard.press("j")
    rest(page)
    expect(page.locator(".st-key-contrast_low .row").first).to_be_visible()
    assert "sample=" not in page.url


def test_figures_toolbars_are_no_stops_of_the_tab_key(page: Page) -> None:
    arrive(page, "sources")
    expect(page.locator(".modebar-container").first).to_be_attached()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(ON_A_TOOLBAR))
    assert reached == {False}
