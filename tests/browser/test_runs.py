"""Starting, watching and stopping a run through the page."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from circuitseer_core.runs import jobs
from circuitseer_core.runs.folder import Run
from tests.browser.conftest import Server
from tests.support.browser import click, faults, fill, rest

SLOW = """
import json, os, sys, time
run, n = sys.argv[sys.argv.index("--run") + 1], 9000
for i in range(n):
    report = {"stage": sys.argv[1], "state": "running", "done": i, "total": n, "unit": "samples",
              "rate": 5.0, "eta_s": (n - i) / 5, "message": "", "pid": os.getpid(), "updated": ""}
    with open(run + "/next", "w") as out:
        json.dump(report, out)
    os.replace(run + "/next", run + "/progress.json")
    print("at", i, flush=True)
    time.sleep(0.2)
"""


@pytest.fixture
def slow_job(server: Server, tmp_path: Path) -> Iterator[Path]:
    """A run whose job does nothing for longer than any page takes to open; ended with the test."""
    script = tmp_path / "slow.py"
    script.write_text(SLOW, encoding="utf-8")
    run = server.runs / f"slow-{time.monotonic_ns()}"
    steps = [["detect", "--run", str(run)], ["score", "--run", str(run)]]
    jobs.start(run, steps, program=[sys.executable, str(script)])
    yield run
    if run.exists():  # not where the test has renamed or deleted it
        jobs.cancel(run)


def test_progress_shows_and_cancel_ends_the_process(page: Page, slow_job: Path) -> None:
    page.goto(f"/runs?run={slow_job.name}")
    expect(page.get_by_text("of 9,000 samples")).to_be_visible()
    page.reload()
    expect(page.get_by_text("of 9,000 samples")).to_be_visible()
    child = json.loads((slow_job / "job.json").read_text())["child"]["pid"]
    click(page, "Cancel")
    expect(page.get_by_text("Cancelled").first).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert not Path(f"/proc/{child}").exists() or not os.path.isdir("/proc")
    Run.open(slow_job)
    # What Resume runs is this package, not the script above: it misses its --model and says so.
    click(page, "Resume")
    expect(page.get_by_text("Failed").first).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_a_job_is_seen_and_stopped_from_another_runs_page(page: Page, slow_job: Path) -> None:
    page.goto("/heads?run=small")
    strip = page.locator(f".st-key-card_strip_{slow_job.name}")
    expect(strip.get_by_text("of 9,000 samples")).to_be_visible()
    expect(strip).to_contain_text("Detect heads (1 of 2)")
    expect(strip).to_contain_text("left in this step")
    rest(page)
    assert not faults(page)
    page.get_by_role("link", name="Export").click()
    expect(page.get_by_role("heading", name="Export", exact=True)).to_be_visible()
    expect(strip.get_by_text("of 9,000 samples")).to_be_visible()
    rest(page)
    strip.get_by_role("button", name="Cancel").click()
    expect(strip).to_have_count(0)
    assert jobs.status(slow_job).state == "cancelled"
    page.goto(f"/evidence?run={slow_job.name}")
    expect(strip).to_contain_text("Cancelled")
    rest(page)
    strip.get_by_role("button", name="Resume").click()
    # As above: what goes on is this package, which misses its --model.
    expect(strip).to_contain_text("Failed")


def test_a_second_tab_sees_the_same_job(page: Page, slow_job: Path) -> None:
    page.goto(f"/runs?run={slow_job.name}")
    expect(page.get_by_text("of 9,000 samples")).to_be_visible()
    second = page.context.new_page()
    second.goto(f"/runs?run={slow_job.name}")
    expect(second.get_by_text("of 9,000 samples")).to_be_visible()
    click(second, "Cancel")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_start_on_the_tiny_model_refresh_and_watch_it_finish(
    page: Page, server: Server, tiny_model: Path, tmp_path: Path
) -> None:
    data = tmp_path / "sums.jsonl"
    rows = [
        {"question": f"What is {i} plus {i + 1}?", "answer": f"It is {2 * i + 1}."}
        for i in range(40)
    ]
    data.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    page.goto("/runs?runs_view=Start")
    rest(page)
    page.get_by_role("radio", name="Folder", exact=True).click()
    fill(page, "Folder", str(tiny_model))
    fill(page, "Name of the run", "from-the-form")
    for key in ("probe", "data"):
        card = page.locator(f".st-key-card_{key}")
        card.get_by_role("radio", name="Files or folders").click()
        box = card.get_by_role("textbox", name="Datasets, one a line")
        box.fill(f"sums={data}")
        box.press("Control+Enter")
        expect(card.get_by_text("40 rows")).to_be_visible()
    page.get_by_text("Detection settings").click()
    fill(page, "Probe samples", "6")
    click(page, "Start")
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    page.reload()
    expect(page.get_by_text("See the results")).to_be_visible()
    run = Run.open(server.runs / "from-the-form")
    assert run.stage_state() == {"detect": "done", "score": "done", "select": "done"}
    page.get_by_text("See the results").click()
    expect(page.get_by_role("heading", name="Overview", exact=True)).to_be_visible()
    expect(page.locator('[data-testid="stException"]')).to_have_count(0)


def test_an_uploaded_probe_serves_as_the_data_too(
    page: Page, server: Server, tiny_model: Path
) -> None:
    """Uploaded once, kept once, read by both stages."""
    row = {"question": "What is {i} plus 1?", "answer": "More than {i}."}
    lines = [json.dumps({k: v.format(i=i) for k, v in row.items()}) for i in range(20)]
    page.goto("/runs?runs_view=Start")
    rest(page)
    page.get_by_role("radio", name="Folder", exact=True).click()
    fill(page, "Folder", str(tiny_model))
    fill(page, "Name of the run", "uploaded-once")
    probe, data = (page.locator(f".st-key-card_{key}") for key in ("probe", "data"))
    probe.get_by_role("radio", name="Upload").click()
    file = {"name": "sums.jsonl", "mimeType": "text/plain", "buffer": "\n".join(lines).encode()}
    probe.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
    expect(probe.get_by_text("20 rows")).to_be_visible()
    rest(page)
    data.get_by_role("radio", name="Same as the probe").click()
    expect(data.locator("input[type=file]")).to_have_count(0)
    click(page, "Start")
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    path = server.runs / "uploaded-once"
    steps = jobs.status(path).steps
    specs = [
        step[step.index(flag) + 1]
        for step, flag in zip(steps[:2], ("--probe", "--data"), strict=True)
    ]
    assert specs[0] == specs[1] and specs[0].startswith("sums=")
    kept = list((server.runs / "uploads").rglob("sums.jsonl"))
    assert [str(file) for file in kept] == [specs[0].removeprefix("sums=")]
    jobs.cancel(path)
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_a_preview_says_what_is_wrong_before_anything_is_started(
    page: Page, tmp_path: Path
) -> None:
    data = tmp_path / "answers-missing.jsonl"
    data.write_text('{"question": "What is 2 + 2?"}\n', encoding="utf-8")
    page.goto("/runs?runs_view=Start")
    rest(page)
    card = page.locator(".st-key-card_probe")
    card.get_by_role("radio", name="Files or folders").click()
    box = card.get_by_role("textbox", name="Datasets, one a line")
    box.fill(str(tmp_path / "nowhere.jsonl"))
    box.press("Control+Enter")
    expect(card.get_by_text("nowhere.jsonl").last).to_be_visible()
    expect(page.get_by_role("button", name="Start", exact=True)).to_have_count(0)
    box.fill(str(data))
    box.press("Control+Enter")
    expect(card.get_by_text("has a response")).to_be_visible()
    expect(page.get_by_role("button", name="Start", exact=True)).to_have_count(0)


def test_rename_and_delete(page: Page, server: Server, slow_job: Path) -> None:
    jobs.cancel(slow_job)
    page.goto(f"/runs?run={slow_job.name}")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    click(page, "Rename")
    fill(page, "New name", "renamed-run")
    rest(page)
    page.locator(".st-key-do_rename button").click()
    expect(page.locator(".st-key-card_job").get_by_text("renamed-run")).to_be_visible()
    assert (server.runs / "renamed-run" / "run.json").is_file()
    click(page, "Delete")
    click(page, "Delete for good")
    expect(page.locator(".st-key-card_job").get_by_text("renamed-run")).to_have_count(0)
    assert not (server.runs / "renamed-run").exists()
