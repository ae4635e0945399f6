"""The head map and what hangs on it, in a real browser."""

from __future__ import annotations

import random
import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import fill, rest, see_figure

LEFT, TOP, BAR = 40, 8, 76  # the map's margins in ui/heatmap.js


def open_heads(page: Page, run: str, extra: str = "") -> None:
    page.goto(f"/heads?run={run}{extra}")
    expect(page.get_by_role("heading", name="Heads", exact=True)).to_be_visible()
    expect(page.locator("[data-ready]")).to_be_visible()
    rest(page)  # the map comes first; what stands above it may still move it


def cell_at(page: Page, layers: int, heads: int, layer: int, head: int) -> tuple[float, float]:
    """The middle of a cell on the screen."""
    box = page.locator("canvas[role=application]").bounding_box()
    assert box is not None
    width = (box["width"] - LEFT - BAR) / heads
    height = max(8, min(34, 540 // layers))
    return box["x"] + LEFT + (head + 0.5) * width, box["y"] + TOP + (layer + 0.5) * height


def test_45_clicks_on_a_map_of_80_by_64_are_exact(page: Page) -> None:
    open_heads(page, "large")
    draw = random.Random(7)
    missed = []
    for _ in range(45):
        layer, head = draw.randrange(80), draw.randrange(64)
        rest(page)
        page.mouse.click(*cell_at(page, 80, 64, layer, head))
        try:
            expect(page.get_by_label("Layer", exact=True)).to_have_value(str(layer))
            expect(page.get_by_label("Head", exact=True)).to_have_value(str(head))
        except AssertionError:
            missed.append((layer, head))
    assert not missed


def test_the_keyboard_reaches_every_cell(page: Page) -> None:
    open_heads(page, "small", "&layer=2&head=3")
    canvas = page.locator("canvas[role=application]")
    canvas.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Enter"):
        canvas.press(key)
    expect(page.get_by_label("Layer", exact=True)).to_have_value("3")
    expect(page.get_by_label("Head", exact=True)).to_have_value("5")


def test_a_link_names_run_and_head_and_survives_a_refresh(page: Page) -> None:
    open_heads(page, "small", "&layer=4&head=6")
    expect(page.get_by_label("Layer", exact=True)).to_have_value("4")
    expect(page.get_by_label("Head", exact=True)).to_have_value("6")
    fill(page, "Head", "2")
    expect(page).to_have_url(re.compile(r"head=2"))
    page.reload()
    expect(page.get_by_label("Head", exact=True)).to_have_value("2")
    expect(page).to_have_url(re.compile("run=small"))


def test_the_set_follows_the_rule_at_once(page: Page) -> None:
    open_heads(page, "small")
    expect(page.get_by_text("3 / 48")).to_be_visible()
    page.get_by_role("radio", name="Count").click()
    fill(page, "Number of heads", "7")
    expect(page.get_by_text("7 / 48")).to_be_visible()
    expect(page.get_by_text("Rescore with this set")).to_be_visible()


def test_values_are_kept_across_pages(page: Page) -> None:
    open_heads(page, "small")
    page.get_by_role("radio", name="Count").click()
    fill(page, "Number of heads", "5")
    expect(page.get_by_text("5 / 48")).to_be_visible()
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Overview", exact=True)).to_be_visible()
    rest(page)
    page.get_by_role("link", name="Heads").first.click()
    expect(page.get_by_text("5 / 48")).to_be_visible()
    expect(page).to_have_url(re.compile("run=small"))


@pytest.mark.parametrize(
    "view", ["Table", "Sparsity", "Layers", "Stability", "Sources", "Sinks", "Compare"]
)
def test_every_view_opens_from_its_link(page: Page, view: str) -> None:
    open_heads(page, "small", f"&heads_view={view}")
    expect(page.get_by_role("radio", name=view)).to_be_checked()
    expect(page.locator('[data-testid="stException"]')).to_have_count(0)


def test_a_figure_downloads_as_svg_png_html_and_csv(page: Page) -> None:
    open_heads(page, "small", "&heads_view=Layers")
    see_figure(page, "layer_marginals")
    rest(page)
    page.locator(".st-key-layer_marginals_menu button").click()
    menu = page.locator('[data-testid="stPopoverBody"]')
    starts = {
        "SVG": b"<svg",
        "PNG": b"\x89PNG",
        "HTML, interactive": b"<html",
        "CSV, the data shown": b"layer,",
    }
    for name, start in starts.items():
        with page.expect_download() as caught:
            menu.get_by_role("button", name=name).click()
        saved = caught.value.path()
        assert start in saved.read_bytes()[:200], name


def test_two_runs_side_by_side(page: Page) -> None:
    open_heads(page, "small", "&heads_view=Compare&other=other")
    expect(page.get_by_text("Spearman of all heads")).to_be_visible()
    expect(page.get_by_text("Heads in both sets")).to_be_visible()
