"""Blind review in a real browser: a batch by keyboard, left and taken up again, to its files."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from circuitseer_core.runs.folder import Run
from circuitseer_core.selection import review
from circuitseer_core.selection.agreement import agreement
from circuitseer_core.wording import percent
from tests.browser.conftest import Server
from tests.support.browser import click, fill, rest, see_figure
from tests.support.synthetic import Shape, make_run


@pytest.fixture
def reviewed(server: Server, request: pytest.FixtureRequest) -> Run:
    """A run of the test's own: what one has judged, another never sees."""
    name = request.node.name.replace("_", "-")
    return Run.open(make_run(server.runs / name, Shape(rows=300, sources=3), seed=4))


def view(run: Run) -> str:
    return f"/samples?run={run.name}&view=Blind+review"


def press(page: Page, key: str, then: str | re.Pattern[str]) -> None:
    """Press a key of the pair in view; the next pair, or what follows, is there afterwards."""
    rest(page)  # the texts come before the buttons that the keys belong to
    page.keyboard.press(key)
    expect(page.get_by_text(then).first).to_be_visible()


def test_a_batch_is_left_taken_up_again_and_ends_in_an_agreement(
    page: Page, reviewed: Run, tmp_path: Path
) -> None:
    page.goto(view(reviewed))
    fill(page, "Pairs", "6")
    page.get_by_role("button", name=re.compile("^Long, over")).click()  # not the long ones
    click(page, "Start the batch")
    expect(page.get_by_text("Pair 1 of 6", exact=True)).to_be_visible()
    (batch,) = review.load(reviewed.path).batches.values()
    assert {pair.band for pair in batch.pairs} == {"short", "middle"}
    scores = [f"{score:.4g}" for pair in batch.pairs for score in pair.scores]
    shown = page.locator(".st-key-blind_A, .st-key-blind_B")
    expect(shown.first).to_contain_text(reviewed.scores(columns=["id", "prompt"]).set_index("id")
                                        .loc[batch.pairs[0].left, "prompt"])  # fmt: skip
    for done, key in enumerate("abt", start=2):
        press(page, key, f"Pair {done} of 6")
        main = page.locator("[data-testid=stMain]").inner_text()
        assert "agree" not in main and not any(score in main for score in scores)
    press(page, "z", "Pair 3 of 6; 3 judged")
    press(page, "s", "Pair 4 of 6")
    page.goto(view(reviewed))  # the same in another tab, or tomorrow
    expect(page.get_by_text("Pair 4 of 6", exact=True)).to_be_visible()
    expect(page.locator(".st-key-blind_A")).to_be_visible()
    press(page, "a", "Pair 5 of 6")
    press(page, "b", "Pair 6 of 6")
    press(page, "b", "Agreement with the score")

    state = review.load(reviewed.path)
    verdicts = state.finished_verdicts()
    assert verdicts["choice"].tolist() == ["left", "right", "skip", "left", "right", "right"]
    agreed = agreement(verdicts)
    sentence = page.get_by_text(f"of {agreed.decided} decided pairs you and variance")
    expect(sentence).to_contain_text(f"95 % interval {percent(agreed.interval[0])}")
    expect(sentence).to_contain_text("skipped: 1")
    see_figure(page, "agreement")
    see_figure(page, "agreement_others")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="CSV of this batch").click()
    waiting.value.save_as(tmp_path / "batch.csv")
    with (tmp_path / "batch.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["left"] for line in lines] == [pair.left for pair in batch.pairs]
    with page.expect_download() as waiting:
        page.get_by_role("button", name="JSON of this batch").click()
    waiting.value.save_as(tmp_path / "batch.json")
    kept = json.loads((tmp_path / "batch.json").read_text())
    assert kept["agreement"]["agreed"] == agreed.agreed and len(kept["pairs"]) == 6
    assert waiting.value.suggested_filename == f"{reviewed.name}-review-1.json"


def test_a_batch_that_is_ended_early_says_so(page: Page, server: Server, reviewed: Run) -> None:
    page.goto(view(reviewed))
    click(page, "Start the batch")
    expect(page.get_by_text("Pair 1 of 20", exact=True)).to_be_visible()
    expect(page.locator(".st-key-blind_A")).to_be_visible()
    press(page, "a", "Pair 2 of 20")
    click(page, "End the batch here")
    page.get_by_role("button", name="End it", exact=True).click()
    expect(page.get_by_text("Ended after 1 of 20 pairs.")).to_be_visible()
    expect(page.get_by_role("button", name="Start the batch")).to_be_visible()
