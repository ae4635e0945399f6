"""Compute what the app shows at first, before anybody opens it, for the newest run.

Only the caches of the pages' own functions are filled, so nothing here can show anything else
than the pages would; where somebody is faster, they wait for the computation under way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.detection.heads import select_heads
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from ui import cached_scores
from ui.export import draw as draw_data
from ui.export.settings import default_settings
from ui.heads import detail as head_detail
from ui.heads import panel as head_panel
from ui.heads import tables as head_tables
from ui.overview import findings as run_findings
from ui.shell import run_keys, run_path
from ui.sources import data as source_data
from ui.widgets.scorer_choice import default_scorer

MOST_ROWS = 3_000_000
"""Runs beyond this are read when they are asked for: they would hold memory for nobody."""
_WORKERS = 2


def newest_run() -> None:
    """The run that the app opens with. What cannot be read is left for the pages to say."""
    with ThreadPoolExecutor(_WORKERS, "read-ahead") as pool:
        for task in [pool.submit(task) for task in _tasks()]:
            with contextlib.suppress(UserError):
                task.result()


def _tasks() -> list[Callable[[], object]]:
    """What to compute for a run, the slowest first."""
    tasks: list[Callable[[], object]] = []
    with contextlib.suppress(UserError):
        keys = run_keys()
        if not keys:
            return tasks
        run = Run.open(run_path(keys[0]))
        first = next(iter(run.scorings()), None)
        tasks.append(partial(run_findings.signatures, run, first))
        if run.heads_path.is_file():
            tasks.insert(0, partial(_heads, run))
        store = cached_scores.open_store(run)
        if store is not None and store.rows <= MOST_ROWS:
            tasks[:0] = [partial(_draw, run, store), partial(_distributions, store)]
    return tasks


def _draw(run: Run, store: ScoreStore) -> None:
    """Export: the paper's draw of a tenth, and what it shares with kept selections."""
    drawn = draw_data.shown(run, store, default_settings(store))
    draw_data.overlaps(run, store, drawn, run.selections())


def _distributions(store: ScoreStore) -> None:
    """Sources, and the filters of Samples."""
    scorer = default_scorer(store)
    cached_scores.facets(store)
    cached_scores.sources(store)
    source_data.summary(store, scorer, "source", False)
    source_data.length_map(store, scorer, False)
    source_data.control(store, scorer, False)
    for column in cached_scores.number_columns(store)[:1]:
        source_data.with_column(store, scorer, column)


def _heads(run: Run) -> None:
    """Heads: the best 5 %, the best of them in detail, and what sources agree on."""
    heads = head_tables.heads(run)
    head_tables.head_deltas(run, *head_detail.best(heads))
    kept = len(select_heads(heads, head_panel.default_rule(heads)))
    head_tables.membership(run, kept)
    head_tables.source_agreement(run, kept)
