"""Calibrate in a real browser: a fit as a job, its answer, and the heads that carry it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from circuitseer_core.calibration.calibrate import calibrate
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.runs.folder import Run
from tests.browser.conftest import Server
from tests.support.browser import click, rest, see_figure
from tests.support.readings_run import readings_run

FEW = {"target": "level", "folds": 3, "repeats": 1, "permutations": 20}


@pytest.fixture(scope="module")
def fitted(server: Server) -> Run:
    run = readings_run(server.runs / "fitted", 80)
    calibrate(run, CalibrateSettings(**FEW), show=False)
    return run


def test_the_answer_its_figures_and_the_map(page: Page, fitted: Run) -> None:
    page.goto("/calibrate?run=fitted")
    answer = page.get_by_text(re.compile("^(Yes|No): the heads tell"))
    expect(answer).to_be_visible()
    see_figure(page, "calibration_comparison")
    see_figure(page, "calibration_rows")
    canvas = page.locator("canvas[role=application]")
    expect(canvas).to_be_visible()
    rest(page)
    canvas.focus()
    canvas.press("ArrowRight")
    canvas.press("Enter")
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
    expect(answer).to_be_visible()


def test_a_fit_is_started_watched_and_answered(page: Page, fitted: Run) -> None:
    page.goto("/calibrate?run=fitted")
    expect(page.get_by_role("button", name="Fit", exact=True)).to_be_enabled()
    page.get_by_role("combobox", name="Target").click()
    page.get_by_role("option", name="variance", exact=True).click()
    click(page, "Fit")
    chosen = page.get_by_role("combobox", name="Calibration")
    expect(chosen).to_have_value("variance", timeout=240_000)
    expect(page.get_by_text(re.compile("the heads tell .* of variance"))).to_be_visible()
    assert (fitted.path / "calibrations" / "variance" / "calibration.json").is_file()
