"""The report in a real browser: it draws, in both themes, and asks nobody for anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from circuitseer_core.report.report import report
from circuitseer_core.runs.folder import Run
from tests.browser.conftest import PATIENCE_MS
from tests.report.test_report import whole

__all__ = ["whole"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_draws_without_a_network(
    chromium: Browser,
    whole: Run,
    tmp_path: Path,
    scheme: str,
) -> None:
    out = report(whole, tmp_path / "report.html")
    asked: list[str] = []
    troubles: list[str] = []
    view = chromium.new_page(viewport={"width": 900, "height": 900}, color_scheme=scheme)
    view.set_default_timeout(PATIENCE_MS)
    view.on("request", lambda request: asked.append(request.url))
    view.on("pageerror", lambda error: troubles.append(str(error)))
    view.on("console", lambda message: troubles.append(message.text))
    view.goto(out.as_uri())
    view.wait_for_function("document.querySelectorAll('.plot .main-svg').length >= 9")
    ground = view.evaluate("getComputedStyle(document.body).backgroundColor")
    paper = view.evaluate(
        "document.querySelector('.plot .main-svg').style.background || "
        "getComputedStyle(document.querySelector('.plot .main-svg')).backgroundColor"
    )
    wide = view.evaluate("document.documentElement.scrollWidth")
    view.close()
    assert asked == [out.as_uri()] and troubles == []
    assert ground == paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 22, 29)"}[scheme]
    assert wide <= 900
