"""Try it, clicked through on a tiny model: load, tick heads, turn samples over, look, let go."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from circuitseer_core import detect, score
from circuitseer_core.runs.folder import Run
from tests.browser.conftest import Server
from tests.support.browser import click, faults, fill, rest, see_figure

RUN = "tried"


@pytest.fixture(scope="module", autouse=True)
def tried(server: Server, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = [
        {"id": f"{i}", "question": f"Tom has {i} apples and {2 * i} pears. How many?",
         "answer": f"He has {3 * i} of them."}
        for i in range(8)
    ]  # fmt: skip
    data = tmp_path_factory.mktemp("tried") / "toy.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    detect(model=str(tiny_model), probe=[str(data)], run=server.runs / RUN, probe_size=4)
    score(run=server.runs / RUN, data=[f"toy={data}"])


def test_from_a_link_to_a_freed_model(page: Page) -> None:
    page.goto(f"/try_it?run={RUN}&sample=toy/3&ablate=0.1")
    prompt = page.get_by_role("textbox", name="Prompt", exact=True)
    expect(prompt).to_have_value(re.compile("Tom has 3 apples"))
    click(page, "Load the model and try")
    expect(page.get_by_text(re.compile(r"\d draws? of .*random head"))).to_be_visible()
    expect(page.get_by_text("MiB of weights")).to_be_visible()
    expect(page.locator(".st-key-card_written_Ablated")).to_be_visible()

    heads = page.get_by_role("textbox", name="Heads to ablate", exact=True)
    canvas = page.locator("canvas[role=application]")
    rest(page)
    canvas.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Enter"):
        canvas.press(key)
    expect(heads).to_have_value("0.1, 1.2")
    expect(page.get_by_text("ablating 2 heads together")).to_be_visible()
    rest(page)
    assert not faults(page)
    expect(page).to_have_url(re.compile(r"ablate=0\.1"))

    letters = page.locator(".st-key-try_token_box .text")
    third = letters.text_content()
    click(page, "Next sample")
    expect(prompt).not_to_have_value(re.compile("Tom has 3 apples"))
    rest(page)
    assert letters.text_content() != third, "the letters are those of the sample in view"
    page.get_by_text("What one head attends to").click()
    see_figure(page, "try_attention_map")
    click(page, "Free it")
    expect(page.get_by_role("button", name="Load the model and try")).to_be_visible()
    expect(page.locator("[data-testid=stException]")).to_have_count(0)


def test_a_heads_panel_says_what_it_does_and_is_copied(page: Page, server: Server) -> None:
    page.goto(f"/heads?run={RUN}&layer=1&head=2")
    expect(page.locator("[data-ready]")).to_be_visible()
    rest(page)
    page.get_by_text("What this head looks at").click()
    click(page, "Load the model and look")
    role = page.locator(".st-key-head_role")
    expect(role.get_by_text("Means over")).to_be_visible()
    expect(role.get_by_text("Tokens that receive most")).to_be_visible()
    expect(role.locator(".token").first).to_be_visible()
    rest(page)
    page.get_by_text("Where ablating it hurts").click()
    hurts = page.locator(".st-key-head_hurts")
    expect(hurts.get_by_text("harder to predict with the head ablated")).to_be_visible()
    expect(hurts.locator(".token").first).to_be_visible()
    rest(page)
    page.get_by_text("This set for the Hub").click()
    copied = page.locator(".st-key-heads_card")
    expect(copied).to_contain_text("reasoning head")
    expect(copied).to_contain_text(str(Run.open(server.runs / RUN).model.weights_hash))
    expect(copied.get_by_text("push-heads")).to_be_visible()
    expect(page.locator("[data-testid=stException]")).to_have_count(0)


def test_one_heads_attention_on_a_sample_changes_colours_bars_and_map(page: Page) -> None:
    page.goto(f"/samples?run={RUN}&sample=toy/3")
    expect(page.get_by_text("received from the scored heads")).to_be_visible()
    rest(page)
    page.get_by_role("radio", name="One head").click()
    click(page, "Load the model and look")
    expect(page.get_by_text("received from this head")).to_be_visible()
    bars = page.locator(".st-key-figure_profile_open")
    before = page.get_by_text("received from this head").inner_text()
    expect(bars.locator(".js-plotly-plot")).to_be_visible()
    fill(page, "Head", "3")
    expect(page.get_by_text("received from this head")).not_to_have_text(before)
    page.get_by_text("One head's attention, token by token").click()
    see_figure(page, "attention_map_matrix")
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
