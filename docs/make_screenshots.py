"""Take docs/screenshots: every page of the app on the bundled run, light and dark.

    python docs/make_screenshots.py [--runs FOLDER] [--width 1440] [--out docs/screenshots]

Needs Debian's chromium and the development requirements.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.conftest import ARGS, CHROMIUM, start_server

PAGES = {
    "overview": "",
    "runs": "runs",
    "heads": "heads",
    "try_it": "try_it",
    "samples": "samples",
    "sources": "sources",
    "export": "export",
    "calibrate": "calibrate",
    "evidence": "evidence",
}


def main() -> None:
    """Start the app, visit the pages, stop the app."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, help="a runs folder; none shows the bundled run")
    parser.add_argument("--width", type=int, default=1440)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screenshots")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as empty, sync_playwright() as playwright:
        server, url = start_server(options.runs or Path(empty))
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            for theme in ("light", "dark"):
                visit(browser, url, theme, options.width, options.out)
            browser.close()
        finally:
            server.terminate()
            server.wait()


def visit(browser: Browser, url: str, theme: str, width: int, out: Path) -> None:
    """One picture a page, as tall as the page is."""
    for name, path in PAGES.items():
        size = {"width": width, "height": 1000}
        page = browser.new_page(viewport=size, color_scheme=theme)
        page.goto(f"{url}/{path}")
        page.wait_for_selector("[data-testid='stMainBlockContainer'] h1, h2", timeout=60_000)
        page.wait_for_selector("[data-test-script-state='notRunning']", timeout=120_000)
        page.wait_for_timeout(3000)
        main_block = page.locator("[data-testid='stMainBlockContainer']")
        height = int((main_block.bounding_box() or {"height": 1000})["height"])
        page.set_viewport_size({"width": width, "height": min(max(height, 900), 2400)})
        page.wait_for_timeout(1500)
        page.screenshot(path=out / f"{name}-{theme}.png")
        page.close()


if __name__ == "__main__":
    main()
