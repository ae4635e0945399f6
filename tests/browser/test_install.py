"""``circuitseer app`` from the wheel, in an empty folder."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import free_port, wait_until_up
from tests.support.installed import Installed
from tests.support.synthetic import make_run


@pytest.mark.install
def test_the_installed_app_shows_the_bundled_run(
    installed: Installed, chromium: Browser, tmp_path: Path
) -> None:
    port = free_port()
    # A file of the folder one happens to be in must not stand in for a library's module.
    (tmp_path / "plotly.py").write_text("raise RuntimeError")
    command = [installed.script("circuitseer"), "app", "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=installed.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(process, url)
        page = chromium.new_page()
        fonts = []
        page.on("response", lambda r: fonts.append(r.status) if "/static/fonts/" in r.url else None)
        page.goto(url)
        expect(page).to_have_url(re.compile("run=bundled-demo"))
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        page.get_by_role("link", name="Heads").click()
        expect(page.get_by_role("heading", name="Heads", exact=True)).to_be_visible()
        expect(page.locator(".js-plotly-plot").first).to_be_visible()
        assert fonts and set(fonts) == {200}

        make_run(tmp_path / "runs" / "local", seed=1)
        page.goto(f"{url}/?run=local")
        expect(page.locator("a[href='heads?run=local']").first).to_be_visible()
        page.close()
    finally:
        process.terminate()
        process.wait(timeout=60)
