"""Journeys over samples in a real browser: find, read token by token, judge, take away."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from circuitseer_core.runs.folder import Run
from tests.browser.conftest import ROOT, Server
from tests.support.browser import click, fill, rest
from tests.support.synthetic import Shape, make_run

FIGURE = ".st-key-figure_histogram .js-plotly-plot, .st-key-figure_drawn .js-plotly-plot"

HOSTILE = (
    "<script>document.title='owned'</script><style>body{display:none}</style>"
    "![](http://evil.example/pixel.png) [click](javascript:alert(1)) <b>bold</b> "
    r"$\frac{1}{ \( \] $$ unclosed \href{javascript:alert(1)}{x} $x^2$ `tick` # head :smile: "
)


@pytest.fixture(scope="module")
def journey(server: Server) -> Run:
    return Run.open(make_run(server.runs / "journey", Shape(rows=300, sources=3), seed=4))


@pytest.fixture(scope="module")
def hostile(server: Server) -> Run:
    """A run whose every text, source and id would like to be markup."""
    run = Run.open(make_run(server.runs / "hostile", Shape(rows=40, sources=2), seed=6))
    for part in run.score_parts():
        frame = pd.read_parquet(part)
        frame["prompt"] = [HOSTILE + p for p in frame["prompt"]]
        frame["response"] = HOSTILE
        frame["source"] = [f"<i>{s}</i>" for s in frame["source"]]
        frame["id"] = [f"<b>{i}</b>" for i in frame["id"]]
        frame["original"] = json.dumps({"<u>level</u>": "<s>1</s>", "note": HOSTILE})
        frame.to_parquet(part, index=False)
    return run


@pytest.fixture(scope="module")
def long(server: Server) -> Run:
    """A run of few samples, one of them 2,000 tokens long."""
    run = Run.open(make_run(server.runs / "long", Shape(rows=12, sources=1), seed=8))
    part = run.score_parts()[0]
    frame = pd.read_parquet(part)
    row = int(frame["variance"].argmax())
    profile = np.random.default_rng(0).random(2000)
    frame.at[row, "prompt"] = " ".join(["four"] * 2000)
    frame.at[row, "n_tokens"] = 2000
    frame.at[row, "profile"] = (profile / profile.sum()).astype("float16")
    frame.at[row, "token_starts"] = (np.arange(2000) * 5).astype("int32")
    frame.at[row, "special_mask"] = np.zeros(2000, bool)
    frame.to_parquet(part, index=False)
    return run


def open_page(page: Page, name: str, query: str, ready: str) -> None:
    page.goto(f"/{name}?{query}")
    expect(page.get_by_role("heading", name=name.capitalize(), exact=True)).to_be_visible()
    expect(page.locator(ready).first).to_be_visible()


def shown(page: Page) -> bool:
    """Whether no style sheet has hidden the page."""
    return bool(page.evaluate("getComputedStyle(document.body).display !== 'none'"))


def test_filter_then_sample_then_token(page: Page, journey: Run) -> None:
    frame = journey.scores(columns=["id", "source", "variance"])
    inside = frame[frame["source"] == "source_01"].sort_values("variance", ascending=False)
    open_page(page, "samples", "run=journey&source=source_01", ".row")
    expect(page.get_by_text(f"{len(inside)} of 300 match")).to_be_visible()
    rest(page)
    page.locator(".row").nth(3).click()
    wanted = inside["id"].iloc[3]
    expect(page).to_have_url(re.compile("sample=" + wanted.replace("/", "(/|%2F)")))
    rank = str(int((frame["variance"] > inside["variance"].iloc[3]).sum()) + 1)  # of all rows
    expect(page.locator(".row.chosen .rank")).to_have_text(rank)
    # The list is drawn first: until the text follows, a click would fall on the sample before.
    expect(page.get_by_label(f"Tokens of {wanted}")).to_be_visible()
    rest(page)
    token = page.locator(".token").nth(5)
    token.hover()
    expect(page.locator(".tip")).to_contain_text("#5")
    token.click()
    expect(page.locator(".token.picked")).to_have_count(1)
    expect(page.get_by_text("token 5: receives")).to_be_visible()
    page.reload()
    expect(page.locator(".row.chosen .rank")).to_have_text(rank)


def test_the_keyboard_does_what_a_click_does(page: Page, journey: Run) -> None:
    open_page(page, "samples", "run=journey", ".row")
    rest(page)
    page.locator(".row").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".row.chosen .rank")).to_have_text("3")
    expect(page.get_by_text("rank 3 of 300")).to_be_visible()
    rest(page)
    page.locator(".token").first.focus()
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_text("token 2: receives")).to_be_visible()


def test_two_thousand_tokens_show_and_answer(page: Page, long: Run) -> None:
    open_page(page, "samples", "run=long", ".token")
    expect(page.locator(".token")).to_have_count(2000)
    rest(page)
    page.locator(".token").nth(1999).click()
    expect(page.get_by_text("token 1999: receives")).to_be_visible()
    top = page.locator(".st-key-token_box")
    assert top.evaluate("e => e.scrollHeight > e.clientHeight")


def test_hostile_samples_change_nothing_around_them(page: Page, hostile: Run) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for query, ready in (
        ("run=hostile", ".token"),
        ("run=hostile&view=Side+by+side", ".token"),
        ("run=hostile&view=Blind+review", ".st-key-blind_A"),
    ):
        if "blind" in ready:
            open_page(page, "samples", query, ".st-key-review_start")
            click(page, "Start the batch")
            expect(page.locator(ready)).to_be_visible()
        else:
            open_page(page, "samples", query, ready)
        rest(page)
        assert page.title() != "owned"
        assert shown(page)
        main = page.locator("[data-testid=stMain]")
        for tag in ("script", "b", "i", "u", "s", "img[src*=evil]", "a[href^=javascript]"):
            injected = main.locator(tag).filter(has_text=re.compile("owned|bold|level|source"))
            expect(injected).to_have_count(0)
        holder = page.locator(ready).first if "blind" in ready else page.locator(".tokens").first
        expect(holder).to_contain_text("<style>body{display:none}")
    open_page(page, "samples", "run=hostile", ".token")
    rest(page)
    page.get_by_text("Render maths").click()
    box = page.locator(".st-key-maths_open")
    expect(box.locator(".katex")).not_to_have_count(0)
    text = box.inner_text().replace("\u2060", "")  # the joiners that keep marks from meaning
    assert "<script>document.title='owned'</script><style>body{display:none}</style>" in text
    assert "![](http://evil.example/pixel.png) [click](javascript:alert(1)) <b>bold</b>" in text
    expect(box.locator("img, b, script, a, h1, em, code")).to_have_count(0)
    rest(page)
    page.get_by_text("Response, all scores, original row").click()
    rest(page)
    assert shown(page)
    for name in ("sources", "export"):
        open_page(page, name, "run=hostile", FIGURE)
        rest(page)
        assert page.title() != "owned"
        assert page.locator(".js-plotly-plot b, .js-plotly-plot i").count() == 0
    assert not errors


def test_a_bar_leads_to_its_rows(page: Page, journey: Run) -> None:
    open_page(page, "sources", "run=journey&by=source", ".st-key-figure_histogram .points path")
    rest(page)
    bars = page.locator(FIGURE).first.locator(".bars .points path")
    box = bars.nth(6).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 2)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] - 2)
    expect(page.get_by_role("heading", name="Samples", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile(r"^\d+ of 300 match"))).to_be_visible()
    expect(page).to_have_url(re.compile("source="))
    expect(page).to_have_url(re.compile("low=|high="))


def test_a_point_leads_to_its_sample(page: Page, journey: Run) -> None:
    open_page(page, "sources", "run=journey&colour=source", ".st-key-figure_length_points .point")
    rest(page)
    scores = journey.scores(columns=["id", "variance"]).set_index("id")["variance"]
    points = page.locator(".st-key-figure_length_points .scatterlayer .point")
    assert points.count() == len(scores)
    points.nth(int(points.count()) - 1).click(force=True)
    page.wait_for_url(re.compile(r"/samples\?.*sample="))
    expect(page).to_have_url(re.compile("sample="))
    match = re.search(r"sample=([^&]+)", page.url)
    assert match is not None and unquote(match[1]) in scores.index
    expect(page.get_by_role("heading", name="Samples", exact=True)).to_be_visible()


def test_high_and_low_stand_in_two_columns_and_open(page: Page, journey: Run) -> None:
    open_page(page, "samples", "run=journey&view=High+and+low", ".row")
    fill(page, "Pairs", "4")
    expect(page.get_by_text("4 pairs, row by row of one source")).to_be_visible()
    high, low = (page.locator(f".st-key-contrast_{side} .row") for side in ("high", "low"))
    expect(high).to_have_count(4)
    expect(low).to_have_count(4)
    wanted = journey.scores(columns=["id", "source", "variance"]).set_index("id")["variance"]
    rest(page)
    low.nth(1).click()
    page.wait_for_url(re.compile("sample="))
    match = re.search(r"sample=([^&]+)", page.url)
    assert match is not None
    sample = unquote(match[1])
    expect(page.get_by_label(f"Tokens of {sample}")).to_be_visible()
    assert wanted[sample] < wanted.median()


def test_plotly_is_on_its_way_before_the_page_asks(page: Page, server: Server) -> None:
    with page.expect_response(re.compile("PlotlyChart")) as fetched:
        page.goto(f"{server.url}/sources?run=bundled-demo")
    assert fetched.value.status == 200
    links = page.request.get(f"{server.url}/sources").headers["link"]
    assert Path(fetched.value.url).name in links and "modulepreload" in links


def test_the_dial_then_one_click_to_the_very_files_of_export(
    page: Page, journey: Run, tmp_path: Path
) -> None:
    open_page(page, "export", "run=journey", FIGURE)
    rest(page)
    before = page.get_by_test_id("stMetric").nth(4).inner_text()
    click(page, "top-k")
    expect(page.get_by_test_id("stMetric").nth(4)).to_contain_text("100 %")
    assert "100 %" not in before
    rest(page)
    slider = page.get_by_role("slider").first
    slider.focus()
    slider.press("ArrowRight")
    expect(page.get_by_text("τ = 0.05").first).to_be_visible()
    fill(page, "Keep it as", "byhand")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Draw, keep and download").click()
    assert waiting.value.suggested_filename == "byhand.zip"
    out = tmp_path / "byhand.jsonl"
    command = ["export", "--run", str(journey.path), "--selection", "byhand"]
    subprocess.run(
        [sys.executable, "-m", "circuitseer_core", *command, "--out", str(out)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    with zipfile.ZipFile(waiting.value.path()) as archive:
        names = ["byhand.jsonl", "byhand.jsonl.manifest.json", "README.md"]
        assert archive.namelist() == names
        assert archive.read("byhand.jsonl") == out.read_bytes()
    assert journey.selection("byhand").settings.to_json()["temperature"] == 0.05
    expect(page.get_by_text("Kept as shown: byhand")).to_be_visible()
    expect(page).to_have_url(re.compile("temperature="))
    expect(page).to_have_url(re.compile("selection_name=byhand"))
    with page.expect_download() as again:  # at once: it is kept as shown
        page.get_by_role("button", name="Download", exact=True).first.click()
    assert again.value.suggested_filename == "byhand.zip"


def test_values_survive_other_pages(page: Page, journey: Run) -> None:
    open_page(page, "export", "run=journey&scorer=focus", FIGURE)
    fill(page, "Seed", "7")
    page.get_by_role("link", name="Sources").click()
    expect(page.get_by_role("heading", name="Sources", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile("scorer=focus"))
    rest(page)
    page.get_by_role("link", name="Export").click()
    expect(page.get_by_label("Seed", exact=True)).to_have_value("7")
    expect(page).to_have_url(re.compile("run=journey"))
