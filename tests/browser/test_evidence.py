"""The Evidence page in a browser: an experiment from its card, and an exported file checked."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from circuitseer_core.export.write import export
from circuitseer_core.runs.folder import Run
from tests.browser.conftest import Server
from tests.support.browser import rest


def test_an_experiment_is_run_from_its_card(page: Page, server: Server) -> None:
    page.goto("/evidence?run=small")
    card = page.locator(".st-key-card_evidence_length")
    expect(card.get_by_text("About 10 s").or_(card.get_by_text("about 10 s"))).to_be_visible()
    rest(page)
    card.get_by_role("button", name="Run", exact=True).click()
    answered = page.get_by_text("How far does length drive the scores?")
    expect(answered).to_be_visible(timeout=180_000)
    expect(card.locator(".js-plotly-plot")).to_be_visible()
    expect(card.get_by_role("button", name="Run again")).to_be_enabled()
    assert (server.runs / "small" / "experiments" / "length.json").is_file()


def test_the_report_is_handed_out(page: Page) -> None:
    page.goto("/evidence?run=other")
    expect(page.get_by_role("button", name="Report")).to_be_visible()
    rest(page)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Report").click()
    assert waiting.value.suggested_filename == "other-report.html"
    assert b"other" in waiting.value.path().read_bytes()


def test_an_exported_file_is_checked(page: Page, server: Server, tmp_path: Path) -> None:
    run = Run.open(server.runs / "small")
    done = export(run, run.selections()[0], tmp_path / "subset.jsonl")
    page.goto("/evidence?run=small")
    expect(page.get_by_text("Check an exported file")).to_be_visible()
    rest(page)
    upload = page.locator(".st-key-verify_files input[type='file']")
    upload.set_input_files([str(done.path), str(done.manifest)])
    expect(page.get_by_text("derived again, nothing differs")).to_be_visible()
