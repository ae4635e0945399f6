"""Draw docs/pictures from a run: the map of heads, and the score by source.

    python docs/make_pictures.py RUN

Needs Debian's chromium and the development requirements.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from circuitseer_core import distributions as dist
from circuitseer_core.detection.heads import select_heads
from circuitseer_core.figures.heads import importance_map
from circuitseer_core.figures.scores import histogram_by_group
from circuitseer_core.figures.style import LIGHT
from circuitseer_core.runs.folder import Run
from circuitseer_core.signatures.evidence import Evidence
from tests.browser.conftest import ARGS, CHROMIUM

WIDTH, HEIGHT = 720, 500


def main() -> None:
    """Draw both at twice the size they are shown at."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    run = Run.open(parser.parse_args().run)
    heads = run.heads()
    scored = Evidence(run).scored
    assert scored is not None, "the run has no scores"
    bins = dist.shared_bins(scored.score)
    codes = scored.source.astype(np.int32)
    counts = dist.histogram(scored.score, codes, len(scored.names), bins)
    parts = dist.by_group(scored.score, codes, len(scored.names))
    medians = dist.quantiles(parts, np.array([0.5]))[:, 0]
    figures = {
        "heads": importance_map(heads, kept=select_heads(heads), theme=LIGHT),
        "histogram": histogram_by_group(
            counts, bins, scored.names, LIGHT, medians=medians, x_title="variance", density=True
        ),
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=2)
        for name, figure in figures.items():
            figure.update_layout(width=WIDTH, height=HEIGHT, autosize=False)
            page.set_content(f"<body style='margin:0'>{figure.to_html(full_html=False)}</body>")
            page.wait_for_selector(".main-svg")
            page.wait_for_timeout(500)
            page.screenshot(path=ROOT / "docs" / "pictures" / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
