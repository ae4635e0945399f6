"""The figures of a run by name: what the report draws, and a notebook asks for one by one.

Each is prepared from :class:`Evidence` once and then drawn in as many themes as wanted; None stands
for a figure whose numbers the run does not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from circuitseer_core import distributions as dist
from circuitseer_core.errors import UserError
from circuitseer_core.experiments import saved_results, saved_table
from circuitseer_core.figures import heads as head_figures
from circuitseer_core.figures import lengths as length_figures
from circuitseer_core.figures import scores as score_figures
from circuitseer_core.figures import selection as selection_figures
from circuitseer_core.figures.style import DARK, LIGHT, Theme
from circuitseer_core.report.experiment_figures import drawn
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.selection_records import Diagnostics, Distribution
from circuitseer_core.signatures.evidence import Evidence, Scored

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_SOURCES = 20
_LENGTH_BINS, _SCORE_BINS, _CONTROL_BINS = 40, 36, 60

Draw: TypeAlias = "Callable[[Theme], go.Figure]"


def heads_map(facts: Evidence, value: str = "importance", title: str = "ΔL (nats)") -> Draw | None:
    """Layer by head, the chosen heads outlined."""
    table, kept = facts.heads, facts.chosen
    if table is None or value not in table:
        return None
    return lambda theme: head_figures.importance_map(
        table, value=value, kept=kept, title=title, theme=theme
    )


def specificity_map(facts: Evidence) -> Draw | None:
    """The same of the specificity, where there is a contrast set."""
    return heads_map(facts, "specificity", "specificity")


def sorted_importance(facts: Evidence) -> Draw | None:
    """ΔL, sorted, with intervals; the chosen heads shaded."""
    table, kept = facts.heads, facts.chosen
    if table is None:
        return None
    return lambda theme: head_figures.sorted_curve(table, kept, theme=theme)


def layers(facts: Evidence) -> Draw | None:
    """Sum of ΔL and number of chosen heads by layer."""
    table, kept = facts.heads, facts.chosen
    if table is None:
        return None
    return lambda theme: head_figures.layer_marginals(table, kept, theme=theme)


def score_histogram(facts: Evidence) -> Draw | None:
    """The scores by source, each to its own scale, with the medians."""
    scored = _finite(facts)
    if scored is None:
        return None
    codes, labels = grouped(scored)
    bins = dist.shared_bins(scored.score)
    counts = dist.histogram(scored.score, codes, len(labels), bins)
    parts = dist.by_group(scored.score, codes, len(labels))
    medians = dist.quantiles(parts, np.array([0.5]))[:, 0]
    return lambda theme: score_figures.histogram_by_group(
        counts, bins, labels, theme, medians=medians, x_title=facts.scorer, density=True
    )


def score_against_length(facts: Evidence) -> Draw | None:
    """The scores against the number of tokens, with the median at each length."""
    scored = _finite(facts)
    if scored is None or not np.isfinite(scored.tokens).any():
        return None
    lengths = dist.Lengths.of(scored.tokens, _LENGTH_BINS)
    seen = dist.score_by_length(lengths, scored.score, scores=_SCORE_BINS)
    return lambda theme: length_figures.score_against_length(
        seen.counts, seen.lengths, seen.scores, theme, medians=seen.medians, y_title=facts.scorer
    )


def random_heads(facts: Evidence) -> Draw | None:
    """The scores of the chosen heads beside those of random ones, where there are controls."""
    scored = _finite(facts)
    if scored is None or not scored.controls:
        return None
    bins, counts, _ = dist.histograms_together([scored.score, *scored.controls], _CONTROL_BINS)
    labels = ["chosen heads", *(f"random heads {i + 1}" for i in range(len(scored.controls)))]
    return lambda theme: score_figures.against_controls(
        counts, bins, labels, theme, x_title=facts.scorer
    )


def source_shares(facts: Evidence) -> Draw | None:
    """Share of each source in pool and subset, and where simulated draws lie."""
    diagnostics = _diagnostics(facts)
    if diagnostics is None:
        return None
    rows = pd.DataFrame([entry.model_dump() for entry in diagnostics.sources])
    rows = rows.nlargest(MOST_SOURCES, "pool_share", keep="first")
    names = {"pool_share": "before", "share": "after", "low": "expected_low"}
    named = rows.rename(columns=names | {"high": "expected_high"}).reset_index(drop=True)
    table = named[["source", "before", "after", "expected_low", "expected_high"]]
    return lambda theme: selection_figures.shares_by_source(table, theme)


def sources_left_out(facts: Evidence) -> int:
    """How many sources, the smallest in the pool, the figure of their shares has no room for."""
    diagnostics = _diagnostics(facts)
    return 0 if diagnostics is None else max(0, len(diagnostics.sources) - MOST_SOURCES)


def drawn_scores(facts: Evidence) -> Draw | None:
    """The scores before and after the draw."""
    diagnostics = _diagnostics(facts)
    if diagnostics is None or diagnostics.distributions is None or facts.selection is None:
        return None
    return _before_after(diagnostics.distributions.score, facts.selection.settings.scorer)


def drawn_lengths(facts: Evidence) -> Draw | None:
    """The lengths before and after the draw."""
    diagnostics = _diagnostics(facts)
    if diagnostics is None or diagnostics.distributions is None:
        return None
    return _before_after(diagnostics.distributions.length, "tokens")


FIGURES: dict[str, tuple[Callable[[Evidence], Draw | None], str]] = {
    "heads": (heads_map, "a detection"),
    "importance": (sorted_importance, "a detection"),
    "layers": (layers, "a detection"),
    "specificity": (specificity_map, "a detection with a contrast set"),
    "scores": (score_histogram, "a scoring"),
    "lengths": (score_against_length, "a scoring with token counts"),
    "controls": (random_heads, "a scoring with random-head controls of this scorer"),
    "sources": (source_shares, "a selection"),
    "drawn-scores": (drawn_scores, "a selection"),
    "drawn-lengths": (drawn_lengths, "a selection"),
}
"""By name: what prepares it, and what it needs."""
EXPERIMENT = re.compile(r"experiment:(?P<name>[^:]+)(?::(?P<number>[1-9]\d*))?")
"""``experiment:NAME`` and, for its further plots, ``experiment:NAME:2``."""


def available(facts: Evidence) -> list[str]:
    """Names of the figures that a run has the numbers for."""
    names = [name for name, (prepare, _) in FIGURES.items() if prepare(facts) is not None]
    for record in saved_results(facts.run):
        names += [
            f"experiment:{record.name}" + (f":{number}" if number > 1 else "")
            for number in range(1, len(record.plots) + 1)
        ]
    return names


def figure(facts: Evidence, name: str, theme: str = "light") -> go.Figure:
    """One figure. Raises UserError where the name is none, or the run lacks its numbers."""
    looks = {"light": LIGHT, "dark": DARK}
    if theme not in looks:
        raise UserError(f"no theme {theme!r}: choose light or dark")
    asked = EXPERIMENT.fullmatch(name) if isinstance(name, str) else None
    if asked is not None:
        number = int(asked["number"] or 1)
        return _experiment(facts.run, asked["name"], number, looks[theme])
    if not isinstance(name, str) or name not in FIGURES:
        known = ", ".join([*FIGURES, "experiment:NAME"])
        raise UserError(f"no figure {name!r}: choose {known}")
    prepare, needs = FIGURES[name]
    draw = prepare(facts)
    if draw is None:
        raise UserError(f"{facts.run.path} has no figure {name!r}: it needs {needs}")
    return draw(looks[theme])


def _experiment(run: Run, name: str, number: int, theme: Theme) -> go.Figure:
    for record in saved_results(run):
        if record.name == name and len(record.plots) >= number:
            figure = drawn(record.plots[number - 1], saved_table(run, record), theme)
            if figure is not None:
                return figure
    which = name if number == 1 else f"{name}:{number}"
    raise UserError(f"{run.path} keeps no figure of experiment {which!r}: run validate {name}")


def grouped(scored: Scored) -> tuple[NDArray[np.int32], list[str]]:
    """Codes and labels of the sources, at most MOST_SOURCES, the smaller ones together."""
    rows = np.bincount(scored.source[scored.source >= 0], minlength=len(scored.names))
    order = np.argsort(-rows, kind="stable")
    if len(order) <= MOST_SOURCES:
        kept, rest = order, order[:0]
    else:
        kept, rest = order[: MOST_SOURCES - 1], order[MOST_SOURCES - 1 :]
    place = np.full(len(scored.names) + 1, -1, dtype=np.int32)  # the last one is for −1
    place[kept] = np.arange(len(kept))
    place[rest] = len(kept)
    labels = [scored.names[i] for i in kept]
    if len(rest):
        labels.append(f"{len(rest)} smaller sources")
    return place[scored.source], labels or ["all rows"]


def _finite(facts: Evidence) -> Scored | None:
    """The scores, where any is a number."""
    scored = facts.scored
    return scored if scored is not None and np.isfinite(scored.score).any() else None


def _diagnostics(facts: Evidence) -> Diagnostics | None:
    return None if facts.selection is None else facts.selection.diagnostics


def _before_after(drawn: Distribution, axis: str) -> Draw:
    bins = dist.Bins(np.asarray(drawn.edges, dtype=np.float64), log=False)
    before, after = (np.asarray(counts, dtype=np.int64) for counts in (drawn.pool, drawn.subset))
    return lambda theme: selection_figures.before_after(before, after, bins, theme, x_title=axis)
