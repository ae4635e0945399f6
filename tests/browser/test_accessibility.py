"""What everybody can read and reach: axe-core on every page, keys, and narrow windows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect

from tests.browser.conftest import Server
from tests.support.browser import click, faults, rest

PAGES = (
    "overview", "runs", "runs?runs_view=Start", "runs?runs_view=Import scores",
    "runs?runs_view=Clusters", "heads", "heads?heads_view=Sparsity", "heads?heads_view=Layers",
    "heads?heads_view=Stability", "heads?heads_view=Sources", "heads?heads_view=Sinks",
    "heads?heads_view=Compare", "try_it", "samples", "samples?token_colour=One head",
    "samples?view=Side by side", "samples?view=High and low", "samples?view=Blind review",
    "sources", "sources?shape=Boxes", "sources?shape=Cumulative",
    "sources?sources_view=Two scorings", "export", "export?before_after=Length",
    "export?stratify=equal for every stratum", "calibrate", "evidence",
)  # fmt: skip
"""The most different of those in tests/support/every_view.py."""
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

ON_A_TOOLBAR = """() => {
  const at = document.activeElement
  if (at.closest('.modebar')) return true
  const bar = at.closest('[data-testid=stElementToolbar]')
  return !!bar && !!bar.parentElement.querySelector('[data-testid=stPlotlyChart]')
}"""


@pytest.fixture(params=["light", "dark"])
def themed(request: pytest.FixtureRequest, chromium: Browser, server: Server) -> Iterator[Page]:
    context = chromium.new_context(
        viewport={"width": 1440, "height": 1000}, color_scheme=request.param, base_url=server.url
    )
    yield context.new_page()
    context.close()


def arrive(page: Page, path: str) -> None:
    mark = "&" if "?" in path else "?"
    page.goto(f"/{path.removeprefix('overview')}{mark}run=small")
    expect(page.locator("[data-testid=stMainBlockContainer] h1")).to_be_visible()
    rest(page)


def test_axe_finds_nothing_serious_on_any_page(themed: Page) -> None:
    by_path = {}
    for path in PAGES:
        arrive(themed, path)
        by_path[path] = faults(themed)
    assert not {path: lines for path, lines in by_path.items() if lines}


def test_axe_would_find_a_button_without_a_name(page: Page) -> None:
    arrive(page, "overview")
    page.evaluate(
        "document.querySelector('h1').insertAdjacentHTML('afterend', '<button></button>')"
    )
    assert any("button-name" in line for line in faults(page))


@pytest.mark.parametrize("width", [400, 900])
def test_nothing_is_clipped_on_a_narrow_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    clipped = {}
    for path in PAGES:
        arrive(page, path)
        try:  # figures take the window's width after they are drawn; what stays clipped is a fault
            page.wait_for_function(f"() => ({CLIPPED})().length === 0", timeout=30_000)
        except TimeoutError:
            clipped[path] = page.evaluate(CLIPPED)
    assert not {path: what for path, what in clipped.items() if what}


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
