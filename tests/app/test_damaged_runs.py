"""Pages on damaged runs: every file in several ways, each on one page in turn.

All ways on all pages: ``python -m tests.chaos.damaged_runs``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.damaged import damaged_copy, damages, files, kinds
from tests.support.every_view import RUN, VIEWS, boxes, furnish, shown, whole_run

pytestmark = pytest.mark.usefixtures("plain_errors")

EVERY = 9
"""Of all damages every ninth; the next page for each, so that in time all pages meet all files."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = whole_run(tmp_path_factory.mktemp("whole"), rows=64)
    furnish(path)
    return path


def test_no_page_shows_an_exception_box(
    whole: Path, runs_home: Path, count: Callable[[str], None]
) -> None:
    every_nth = list(damages(whole))[::EVERY]
    pages = list(VIEWS)
    raised = []
    for number, (file, kind) in enumerate(every_nth):
        run = damaged_copy(whole, runs_home / RUN, file, kind)
        page = pages[number % len(pages)]
        raised += [f"{file}, {kind}, {page}: {box}" for box in boxes(shown(page, {}, run))]
    count(f"{len(every_nth)} damaged runs, {len(raised)} exception boxes")
    assert not raised


def test_every_kind_of_damage_changes_the_file(whole: Path, tmp_path: Path) -> None:
    """Else the pages above would be looking at a whole run. One file of every kind."""
    for file in {Path(file).suffix: file for file in files(whole)}.values():
        before = (whole / file).read_bytes()
        for kind in kinds(file):
            path = damaged_copy(whole, tmp_path / RUN, file, kind) / file
            assert not path.is_file() or path.read_bytes() != before, (file, kind)


@pytest.mark.parametrize("kind", ["other columns", "no rows"])
def test_the_heads_page_needs_no_sample(whole: Path, runs_home: Path, kind: str) -> None:
    """Its look at one sample asks the first shard for an id, which this one has not."""
    run = damaged_copy(whole, runs_home / RUN, "scores/default/part-00000.parquet", kind)
    assert not boxes(shown("heads", {}, run))
