"""What goes in and out beside a draw: every row with its scores, and scores made elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from circuitseer_core.runs.folder import Run
from tests.browser.conftest import ROOT, Server
from tests.support.browser import click, rest
from tests.support.synthetic import Shape, make_run


@pytest.fixture
def pool(server: Server, request: pytest.FixtureRequest) -> Run:
    """A run of the test's own."""
    name = request.node.name.replace("_", "-")[:40]
    return Run.open(make_run(server.runs / name, Shape(rows=120, sources=3), seed=9))


def test_all_rows_are_downloaded_as_the_command_writes_them(
    page: Page, pool: Run, tmp_path: Path
) -> None:
    page.goto(f"/export?run={pool.name}")
    card = page.locator(".st-key-card_all_rows")
    expect(card.get_by_text("120 rows of “default” in the order of the data")).to_be_visible()
    rest(page)
    with page.expect_download() as waiting:
        card.get_by_role("button", name="Download all").click()
    assert waiting.value.suggested_filename == "default.all.zip"
    out = tmp_path / "default.all.jsonl"
    command = ["export", "--run", str(pool.path), "--all", "--out", str(out)]
    subprocess.run(
        [sys.executable, "-m", "circuitseer_core", *command],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    with zipfile.ZipFile(waiting.value.path()) as archive:
        assert archive.namelist() == [out.name, f"{out.name}.manifest.json", "README.md"]
        written = archive.read(out.name)
    assert written == out.read_bytes()
    lines = [json.loads(line) for line in written.decode().splitlines()]
    assert len(lines) == 120
    card.get_by_text("Write to a folder").click()
    folder = page.get_by_role("textbox", name="Path on this machine", exact=False)
    expect(folder).to_be_visible()
    folder.fill(str(tmp_path / "by-the-page.jsonl"))
    folder.press("Enter")
    rest(page)
    page.locator(".st-key-write_all button").click()
    expect(page.get_by_text("120 rows in")).to_be_visible()
    assert (tmp_path / "by-the-page.jsonl").read_bytes() == out.read_bytes()


def test_outside_scores_are_joined_and_drawn_by(page: Page, pool: Run, tmp_path: Path) -> None:
    ids = pool.scores(columns=["id"])["id"].tolist()
    rewards = [{"id": name, "reward": place / 10} for place, name in enumerate(ids[::2])]
    rewards.append({"id": "nobody/1", "reward": 99.0})
    path = tmp_path / "rewards.jsonl"
    path.write_text("\n".join(map(json.dumps, rewards)), encoding="utf-8")
    page.goto(f"/runs?run={pool.name}")
    expect(page.get_by_role("radio", name="Import scores")).to_be_visible()
    rest(page)
    page.get_by_role("radio", name="Import scores").click()
    expect(page.get_by_role("button", name="Join the scores")).to_be_disabled()
    rest(page)
    box = page.get_by_role("textbox", name="Datasets, one a line")
    box.fill(str(path))
    box.press("Control+Enter")
    expect(page.get_by_role("button", name="Join the scores")).to_be_enabled()
    click(page, "Join the scores")
    expect(page.get_by_text("Join outside scores").first).to_be_visible()
    expect(page.get_by_text("See the results")).to_be_visible()
    record = Run.open(pool.path).scoring("default").imported[0]
    assert (list(record.columns), record.by_id, record.rows) == (["reward"], 60, 61)
    page.goto(f"/samples?run={pool.name}&scorer=reward")
    expect(page.locator(".row").first).to_contain_text("5.9")
    page.goto(f"/export?run={pool.name}&scorer=reward")
    rest(page)
    click(page, "top-k")
    expect(page.get_by_test_id("stMetric").nth(4)).to_contain_text("100 %")
    expect(page).to_have_url(re.compile("scorer=reward"))
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
