"""Another scoring of a run: chosen once, seen on every page, compared with the first."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from circuitseer_core.runs.folder import Run
from tests.browser.conftest import Server
from tests.support.browser import rest
from tests.support.opened import second_scoring
from tests.support.synthetic import Shape, make_run


@pytest.fixture(scope="module")
def twice(server: Server) -> Run:
    run = Run.open(make_run(server.runs / "twice", Shape(rows=300, sources=3), seed=3))
    second_scoring(run)
    return run


def best(run: Run, name: str) -> str:
    frame = run.scores(name, ["id", "variance"])
    return str(frame.loc[frame["variance"].idxmax(), "id"])


def test_another_scoring_is_chosen_and_goes_from_page_to_page(page: Page, twice: Run) -> None:
    first, second = best(twice, "default"), best(twice, "answers")
    assert first != second
    page.goto("/samples?run=twice")
    expect(page.get_by_label(f"Tokens of {first}")).to_be_visible()
    rest(page)
    page.get_by_role("combobox", name="Scores", exact=False).first.click()
    page.get_by_role("option", name="answers", exact=True).click()
    expect(page.get_by_label(f"Tokens of {second}")).to_be_visible()
    expect(page).to_have_url(re.compile("scoring=answers"))
    rest(page)
    page.get_by_role("link", name="Heads").first.click()
    expect(page.get_by_text("scores “answers”")).to_be_visible()
    expect(page).to_have_url(re.compile("scoring=answers"))
    rest(page)
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_test_id("stMetric").nth(1)).to_contain_text("1 /")
    page.reload()
    expect(page.get_by_test_id("stMetric").nth(1)).to_contain_text("1 /")


def test_two_scorings_are_set_side_by_side_and_a_point_is_read(page: Page, twice: Run) -> None:
    page.goto("/sources?run=twice&sources_view=Two+scorings")
    expect(page.get_by_text("300 samples in both")).to_be_visible()
    points = page.locator(".st-key-figure_two_scorings .scatterlayer .point")
    expect(points.first).to_be_visible()
    rest(page)
    points.last.click(force=True)
    page.wait_for_url(re.compile(r"/samples\?.*sample="))
    expect(page.get_by_role("heading", name="Samples", exact=True)).to_be_visible()
