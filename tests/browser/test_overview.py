"""Overview: the sentence, a warning with its remedy, and a job that is seen from every page."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Server
from tests.support.browser import rest
from tests.support.synthetic import Shape, make_run


def test_a_warning_is_met_with_one_click(page: Page, server: Server) -> None:
    make_run(server.runs / "warned", Shape(rows=300), seed=2)
    page.goto("/?run=warned")
    expect(page.locator(".st-key-summary")).to_contain_text(re.compile(r"\w+ \w+"))
    card = page.locator(".st-key-card_length")
    expect(card.get_by_role("link", name="Draw with length taken out")).to_be_visible()
    rest(page)
    card.get_by_role("link", name="Draw with length taken out").click()
    expect(page.get_by_role("heading", name="Export", exact=True)).to_be_visible()
    expect(page.get_by_role("switch", name="Take length out").or_(
        page.get_by_role("checkbox", name="Take length out")
    )).to_be_checked()  # fmt: skip
    expect(page).to_have_url(re.compile("run=warned"))


def test_what_is_fine_is_folded_away(page: Page) -> None:
    page.goto("/?run=small")
    folded = page.locator(".st-key-card_fine details")
    expect(folded).to_be_visible()
    expect(folded).not_to_have_attribute("open", "")
    rest(page)
    folded.locator("summary").click()
    expect(folded).to_have_attribute("open", "")
