"""Every page on every damaged run: no exception box, and the good run beside it stays in sight.

    python -m tests.chaos.damaged_runs [--views first|all] [--every 1] [--first 0]

A run with everything in it is damaged in one file at a time, in every way that tests/support
knows, and every page of the app is opened on it. Counts are printed; exit code 1 where a page
showed an exception box, took too long or forgot the good run.
"""

from __future__ import annotations

import argparse
import io
import logging
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from streamlit import config

from tests.support.damaged import damaged_copy, damages
from tests.support.every_view import RUN, VIEWS, boxes, furnish, opened, shown, whole_run
from tests.support.synthetic import Shape, make_run

GOOD = "good"


def main() -> None:
    """Walk the damaged runs and say how many pages held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--views", choices=("first", "all"), default="all")
    parser.add_argument("--every", type=int, default=1, help="only every n-th damage")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--match", default="", help="regular expression: only files that it finds")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        home = Path(folder)
        patch.setenv("CIRCUITSEER_RUNS", str(home / "runs"))
        patch.setenv("CIRCUITSEER_KEY", str(home / "job.key"))
        config.set_option("client.showErrorDetails", "full")
        (home / "whole").mkdir()
        whole = whole_run(home / "whole", rows=64)
        furnish(whole)
        make_run(home / "runs" / GOOD, Shape(rows=40, layers=2, heads=3))
        chosen = list(damages(whole))[options.first :: options.every]
        chosen = [one for one in chosen if re.search(options.match, one[0])]
        sys.exit(1 if _walk(whole, home / "runs" / RUN, chosen, options.views) else 0)


def _walk(whole: Path, run: Path, chosen: Sequence[tuple[str, str]], views: str) -> int:
    """Open every page on every damage; returns how many showed a fault."""
    seen: Counter[str] = Counter()
    began = time.monotonic()
    for file, kind in chosen:
        damaged_copy(whole, run, file, kind)
        with redirect_stdout(io.StringIO()):  # the test runner prints what a page raised
            problems = [f"shell: {what}" for what in _shell_faults(run)]
        seen["pages"] += 1
        for page, queries in VIEWS.items():
            for query in queries[: None if views == "all" else 1]:
                seen["pages"] += 1
                with redirect_stdout(io.StringIO()):
                    problems += [f"{page} {query}: {what}" for what in _faults(page, query, run)]
        seen["faults"] += len(problems)
        for problem in problems:
            print(f"{file}, {kind}: {problem}", flush=True)
    print(
        f"{len(chosen):,} damaged runs, {seen['pages']:,} pages opened, "
        f"{seen['faults']:,} with a fault; {time.monotonic() - began:.0f} s"
    )
    return seen["faults"]


def _shell_faults(run: Path) -> list[str]:
    """Of the first page through app.py, with the picker that must offer the good run."""
    app = opened(run)
    lost = [] if GOOD in app.sidebar.selectbox[0].options else ["the good run is not offered"]
    return boxes(app) + lost


def _faults(page: str, query: dict[str, str], run: Path) -> list[str]:
    try:
        return boxes(shown(page, query, run))
    except RuntimeError as error:  # the test runner's word for a page that does not end
        return [str(error)]


if __name__ == "__main__":
    main()
