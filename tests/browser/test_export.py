"""The draw's further settings by hand: lists, benchmarks, near-duplicates; and a push to a Hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from circuitseer_core.runs.folder import Run
from tests.browser.conftest import PATIENCE_MS, start_server
from tests.support.browser import click, faults, fill, rest
from tests.support.fake_hub import FakeHub, serving
from tests.support.slow_machine import slow_page, slowed
from tests.support.synthetic import Shape, make_run


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with serving() as hub:
        yield hub


@pytest.fixture
def page(chromium: Browser, hub: FakeHub, tmp_path: Path) -> Iterator[Page]:
    """A tab of an app whose Hub is on loopback, with one run, ``lists``."""
    make_run(tmp_path / "lists", Shape(rows=120, sources=3), seed=4)
    process, url = start_server(
        tmp_path, HF_ENDPOINT=hub.address, HF_TOKEN="hf_of_the_test", HF_HUB_OFFLINE="0"
    )
    with slowed(process.pid):
        context = chromium.new_context(
            viewport={"width": 1440, "height": 1000}, accept_downloads=True, base_url=url
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        slow_page(page)
        yield page
        context.close()
    process.terminate()
    process.wait(timeout=60)


def test_lists_benchmarks_and_near_duplicates_to_a_push(
    page: Page, hub: FakeHub, tmp_path: Path
) -> None:
    run = Run.open(tmp_path / "lists")
    rows = run.scores(columns=["id", "prompt"])
    bench = tmp_path / "bench.txt"
    bench.write_text(str(rows["prompt"][5]), encoding="utf-8")
    page.goto("/export?run=lists&budget=Rows&budget_count=110")
    expect(page.get_by_role("heading", name="Export", exact=True)).to_be_visible()
    rest(page)
    page.get_by_text("More: who may be drawn").click()
    fill(page, "Remove near-duplicates from a Jaccard index of", "0.9")
    benchmarks = page.get_by_role("textbox", name="Keep out what benchmarks ask", exact=False)
    benchmarks.fill(str(bench))
    benchmarks.press("Control+Enter")
    expect(page.get_by_text("1 row removed")).to_be_visible()
    rest(page)
    one = {"name": "mine.txt", "mimeType": "text/plain", "buffer": str(rows["id"][7]).encode()}
    page.locator(".st-key-exclude_upload input[type=file]").set_input_files(one)  # type: ignore[arg-type]
    kept = page.get_by_role("textbox", name="Never take", exact=False)
    expect(kept).to_contain_text("mine.txt")
    rest(page)

    page.get_by_text("Removed rows").click()
    table = page.locator(".st-key-removed_rows")
    table.locator("[data-testid=stDataFrame]").hover()
    expect(table.get_by_role("button", name="Search", exact=False)).to_be_visible()
    expect(table.get_by_role("button", name="Download as CSV", exact=False)).to_have_count(0)

    fill(page, "Keep it as", "clean")
    with page.expect_download():
        page.get_by_role("button", name="Draw, keep and download").click()
    drawn = Run.open(run.path).selection("clean")
    assert (drawn.counts.contaminated, drawn.counts.excluded_id) == (1, 1)
    assert not {rows["id"][5], rows["id"][7]} & set(run.selection_ids("clean")["id"])

    click(page, "Push to the Hub")
    fill(page, "Dataset repository", "me/subset")
    assert not faults(page), "with a popover open"
    assert not hub.repos, "nothing leaves before the button is pressed"
    click(page, "Push these files")
    expect(page.get_by_text("Pushed to https://huggingface.co/datasets/me/subset")).to_be_visible()
    sent = hub.repos["me/subset"]
    assert len(sent) == 3 and hub.private["me/subset"]
    assert not any(str(tmp_path).encode() in content for content in sent.values())
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
