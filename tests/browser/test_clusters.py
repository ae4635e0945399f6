"""Prompts grouped by kind: a job from the Runs page, and a draw from all kinds alike."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from circuitseer_core import detect, score
from circuitseer_core.runs.clusters import cluster_record
from circuitseer_core.runs.folder import Run
from tests.browser.conftest import Server
from tests.support.browser import click, fill, rest, see_figure

KINDS = ("apples pears plums", "divisor prime factor", "triangle angle side")


@pytest.fixture(scope="module")
def kinds(server: Server, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    rows = [
        {"id": f"{i}", "question": " ".join([KINDS[i % 3]] * (3 + i % 4)), "answer": f"{i}."}
        for i in range(48)
    ]
    data = tmp_path_factory.mktemp("kinds") / "toy.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    path = server.runs / "kinds"
    detect(model=str(tiny_model), probe=[str(data)], run=path, probe_size=4)
    score(run=path, data=[f"toy={data}"])
    return Run.open(path)


def test_from_the_choice_of_strata_to_a_draw_from_all_clusters(page: Page, kinds: Run) -> None:
    page.goto("/export?run=kinds&stratify=equal+for+every+stratum")
    way = page.get_by_role("link", name="Group prompts by kind")
    expect(way).to_be_visible()
    rest(page)
    way.click()
    expect(page.get_by_role("button", name="Make the clusters")).to_be_visible()
    expect(page).to_have_url(re.compile("run=kinds"))
    fill(page, "Clusters", "3")
    click(page, "Make the clusters")
    expect(page.get_by_text("Group prompts by kind").first).to_be_visible()
    expect(page.get_by_text("See the results")).to_be_visible()
    record = cluster_record(kinds, "default")
    assert record is not None and len(record.clusters) == 3
    page.get_by_role("radio", name="Clusters").click()
    expect(page.get_by_text("3 clusters of 48 prompts")).to_be_visible()
    rest(page)
    page.get_by_role("link", name="Draw from all of them alike").click()
    expect(page.get_by_role("heading", name="Export", exact=True)).to_be_visible()
    expect(page.get_by_role("combobox", name="Shared by the values of")).to_have_value(
        "circuitseer_cluster"
    )
    rest(page)
    page.get_by_role("radio", name="Strata").click()
    see_figure(page, "strata")
    fill(page, "Keep it as", "alike")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Draw, keep and download").click()
    assert waiting.value.suggested_filename == "alike.zip"
    assert kinds.selection("alike").clusters == record.sha256
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
