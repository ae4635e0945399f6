"""Every page on every damaged run: no exception box, and the good run beside it stays in sight.

    python -m tests.chaos.damaged_runs [--views first|all] [--every 1] [--first 0] [--journal FILE]

A run with everything in it is damaged in one file at a time, in every way that tests/support
knows, and every page of the app is opened on it, at first each page's first view, then the others.
Counts are printed; exit code 1 where a page showed an exception box, took too long or forgot the
good run. With a journal, a call that was cut off goes on where it was.
"""

from __future__ import annotations

import argparse
import io
import logging
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from streamlit import config

from tests.chaos.journal import Journal
from tests.support.component_scan import scan_once
from tests.support.damaged import damaged_copy, damages
from tests.support.every_view import RUN, VIEWS, boxes, furnish, opened, shown_alone, whole_run
from tests.support.synthetic import Shape, make_run

GOOD = "good"


def main() -> None:
    """Walk the damaged runs and say how many pages held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--views", choices=("first", "all"), default="all")
    parser.add_argument("--every", type=int, default=1, help="only every n-th damage")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--match", default="", help="regular expression: only files that it finds")
    parser.add_argument("--journal", type=Path)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        home = Path(folder)
        patch.setenv("CIRCUITSEER_RUNS", str(home / "runs"))
        patch.setenv("CIRCUITSEER_KEY", str(home / "job.key"))
        config.set_option("client.showErrorDetails", "full")
        scan_once(patch)
        (home / "whole").mkdir()
        whole = whole_run(home / "whole", rows=64)
        furnish(whole)
        make_run(home / "runs" / GOOD, Shape(rows=40, layers=2, heads=3))
        chosen = list(damages(whole))[options.first :: options.every]
        chosen = [one for one in chosen if re.search(options.match, one[0])]
        random.Random(0).shuffle(chosen)  # a pass that is cut off has met all kinds of files
        journal = Journal(options.journal)
        faults = _walk(whole, home / "runs" / RUN, list(_pieces(chosen, options.views)), journal)
        sys.exit(1 if faults else 0)


Views = list[tuple[str, dict[str, str]]]


def _pieces(
    chosen: Sequence[tuple[str, str]], views: str
) -> Iterator[tuple[str, tuple[str, str], Views]]:
    """Names, damages and the views to open: the first view of every page before all others."""
    first = [(page, queries[0]) for page, queries in VIEWS.items()]
    others = [(page, query) for page, queries in VIEWS.items() for query in queries[1:]]
    for kind, some in (("first views", first), ("other views", others)):
        if kind == "first views" or views == "all":
            for file, damage in chosen:
                yield f"{file}, {damage}, {kind}", (file, damage), some


def _walk(
    whole: Path, run: Path, pieces: Sequence[tuple[str, tuple[str, str], Views]], journal: Journal
) -> int:
    """Open the views that the journal lacks; returns how many showed a fault, of all of them."""
    for name, damage, views in pieces:
        if name in journal.done:
            continue
        began = time.monotonic()
        damaged_copy(whole, run, *damage)
        with redirect_stdout(io.StringIO()):  # the test runner prints what a page raised
            faults = [f"shell: {what}" for what in _shell_faults(run)]
            for page, query in views:
                faults += [f"{page} {query}: {what}" for what in _faults(page, query, run)]
        seconds = time.monotonic() - began
        journal.add(name, pages=1 + len(views), faults=faults, seconds=seconds)
        for fault in faults:
            print(f"{name}: {fault}", flush=True)
    done = [journal.done[name] for name, _, _ in pieces]
    count = sum(len(one["faults"]) for one in done)
    print(
        f"{len({damage for _, damage, _ in pieces}):,} damaged runs, "
        f"{sum(one['pages'] for one in done):,} pages opened, {count:,} with a fault; "
        f"{sum(one['seconds'] for one in done):.0f} s"
    )
    return count


def _shell_faults(run: Path) -> list[str]:
    """Of the first page through app.py, with the picker that must offer the good run."""
    app = opened(run)
    lost = [] if GOOD in app.sidebar.selectbox[0].options else ["the good run is not offered"]
    return boxes(app) + lost


def _faults(page: str, query: dict[str, str], run: Path) -> list[str]:
    try:
        app = shown_alone(page, query, run)
        return boxes(app) + ([] if app.title else ["nothing is drawn"])
    except RuntimeError as error:  # the test runner's word for a page that does not end
        return [str(error)]


if __name__ == "__main__":
    main()
