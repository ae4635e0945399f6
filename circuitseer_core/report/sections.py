"""The report's sections with figures: heads, scores, selection. Each works on what the run has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from circuitseer_core import distributions as dist
from circuitseer_core.correlation import control_agreement
from circuitseer_core.distributions import t95
from circuitseer_core.figures import heads as head_figures
from circuitseer_core.figures import lengths as length_figures
from circuitseer_core.figures import scores as score_figures
from circuitseer_core.figures import selection as selection_figures
from circuitseer_core.figures.style import DARK, LIGHT, Theme
from circuitseer_core.report.html import Figures, Html, paragraph, section, table
from circuitseer_core.runs.selection_records import Diagnostics, Distribution, SourceShare
from circuitseer_core.signatures.evidence import Evidence, Scored
from circuitseer_core.wording import count, percent, plain, signed

if TYPE_CHECKING:
    import plotly.graph_objects as go

TOP_HEADS = 20
MOST_SOURCES = 20
_LENGTH_BINS, _SCORE_BINS, _CONTROL_BINS = 40, 36, 60


def _both(figures: Figures, make: Callable[[Theme], go.Figure], caption: str) -> Html:
    return figures.add(make(LIGHT), make(DARK), caption)


def heads_section(facts: Evidence, figures: Figures) -> Html:
    """Map, sorted curve and table of the top heads; with a contrast set also the specificity."""
    table_ = facts.heads
    if table_ is None:
        return _missing("Reasoning heads", "heads", "detect")
    kept, ranked = facts.chosen, table_.sort_values("rank")
    parts: list[object] = [
        _both(
            figures,
            lambda theme: head_figures.importance_map(table_, kept=kept, theme=theme),
            "Rise of the loss when one head's attention is replaced by undifferentiated attention "
            "(ΔL, nats; square-root colour scale). The chosen heads are outlined.",
        ),
        _both(
            figures,
            lambda theme: head_figures.sorted_curve(table_, len(kept), theme=theme),
            f"The same, sorted, with 95 % intervals; shaded: the {len(kept)} chosen heads.",
        ),
        _top_heads(ranked.head(TOP_HEADS), set(kept)),
    ]
    if "specificity" in table_:
        parts.append(
            _both(
                figures,
                lambda theme: head_figures.importance_map(
                    table_, value="specificity", kept=kept, title="specificity", theme=theme
                ),
                "Specificity: relative rise of the loss on the probe less that on the contrast "
                "set. Heads that any text needs are near 0 here.",
            )
        )
    return section("Reasoning heads", "heads", *parts)


def _top_heads(rows: pd.DataFrame, kept: set[tuple[int, int]]) -> Html:
    contrast = "specificity" in rows
    columns = ["rank", "layer", "head", "ΔL (nats)", "95 % interval", "samples", "chosen"]
    if contrast:
        columns.insert(6, "specificity")
    lines = []
    for row in rows.itertuples():
        half = float(t95(row.n)) * row.stderr
        interval = "n/a"
        if np.isfinite(half):
            interval = f"{signed(row.importance - half, 4)} to {signed(row.importance + half, 4)}"
        line: list[object] = [row.rank, row.layer, row.head, signed(row.importance, 4), interval]
        line.append(row.n)
        if contrast:
            line.append(signed(row.specificity, 4))
        line.append("yes" if (row.layer, row.head) in kept else "")
        lines.append(line)
    return table(columns, lines, numeric=range(len(columns) - 1))


def scores_section(facts: Evidence, figures: Figures) -> Html:
    """Histograms by source with statistics, score against length, random-head controls."""
    scored = facts.scored
    if scored is None or not np.isfinite(scored.score).any():
        return _missing("Scores", "scores", "score")
    scorer = facts.scorer
    codes, labels = _grouped(scored)
    groups = len(labels)
    bins = dist.shared_bins(scored.score)
    counts = dist.histogram(scored.score, codes, groups, bins)
    parts_ = dist.by_group(scored.score, codes, groups)
    medians = dist.quantiles(parts_, np.array([0.5]))[:, 0]
    statistics = dist.statistics(scored.score, scored.tokens, codes, labels, parts_)
    parts: list[object] = [
        _both(
            figures,
            lambda theme: score_figures.histogram_by_group(
                counts, bins, labels, theme, medians=medians, x_title=scorer, density=True
            ),
            f"Distribution of {scorer} by source, each source to its own scale; the line is the "
            "median, the number at the right the rows.",
        ),
        _statistics(statistics),
        _length_map(scored, scorer, figures),
    ]
    if scored.controls:
        parts.append(_controls(scored, scorer, figures))
    return section("Scores", "scores", *parts)


def _grouped(scored: Scored) -> tuple[NDArray[np.int32], list[str]]:
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


def _statistics(statistics: pd.DataFrame) -> Html:
    columns = ["source", "rows", "mean", "sd", "p5", "median", "p95", "median tokens"]
    rows = [
        [r.group, f"{r.rows:,}", *(plain(v, 3) for v in (r.mean, r.sd, r.p5, r.median, r.p95)),
         f"{r.tokens:,.0f}"]
        for r in statistics.itertuples(index=False, name="Row")
    ]  # fmt: skip
    return table(columns, rows, numeric=range(1, len(columns)))


def _length_map(scored: Scored, scorer: str, figures: Figures) -> Html:
    tokens, score = scored.tokens, scored.score
    if not np.isfinite(tokens).any():
        return paragraph("The run holds no token counts.")
    seen = dist.score_by_length(tokens, score, lengths=_LENGTH_BINS, scores=_SCORE_BINS)
    return _both(
        figures,
        lambda theme: length_figures.score_against_length(
            seen.counts, seen.lengths, seen.scores, theme, medians=seen.medians, y_title=scorer
        ),
        f"{scorer} against the number of tokens; the line is the median at each length.",
    )


def _controls(scored: Scored, scorer: str, figures: Figures) -> Html:
    columns = [scored.score, *scored.controls]
    bins, counts, rows = dist.histograms_together(columns, _CONTROL_BINS)
    labels = ["chosen heads", *(f"random heads {i + 1}" for i in range(len(columns) - 1))]
    agreement = control_agreement(scored.score, scored.controls)
    agree = f" Spearman {signed(agreement.mean)} ({agreement.basis})." if agreement else ""
    return _both(
        figures,
        lambda theme: score_figures.against_controls(counts, bins, labels, theme, x_title=scorer),
        f"{scorer} of the chosen heads and of as many random heads of the same layers, on "
        f"{count(rows, 'row')}." + agree,
    )


def selection_section(facts: Evidence, figures: Figures) -> Html:
    """The newest selection: sources, scores and lengths before and after, and the numbers."""
    chosen = facts.selection
    if chosen is None or chosen.diagnostics is None:
        return _missing("Selection", "selection", "select")
    drawn = chosen.diagnostics
    sources = _sources(drawn.sources)
    settings = chosen.settings
    return section(
        "Selection",
        "selection",
        paragraph(
            f"{chosen.name}: {count(chosen.counts.selected, 'sample')} of "
            f"{drawn.pool_rows:,}, drawn by {settings.scorer} at τ = "
            f"{chosen.temperature:g}, seed {settings.seed}."
        ),
        _numbers(drawn),
        _both(
            figures,
            lambda theme: selection_figures.shares_by_source(sources, theme),
            "Share of each source in the pool and in the subset; grey: where 95 % of simulated "
            "draws of the same kind lie.",
        ),
        *(
            _before_after(figures, distribution, axis, what)
            for distribution, axis, what in (
                (drawn.distributions.score, settings.scorer, "Scores"),
                (drawn.distributions.length, "tokens", "Lengths"),
            )
        )
        if drawn.distributions
        else (),
    )


def _sources(entries: list[SourceShare]) -> pd.DataFrame:
    rows = pd.DataFrame([entry.model_dump() for entry in entries]).nlargest(
        MOST_SOURCES, "pool_share", keep="first"
    )
    return pd.DataFrame(
        {
            "source": rows["source"],
            "before": rows["pool_share"],
            "after": rows["share"],
            "expected_low": rows["low"],
            "expected_high": rows["high"],
        }
    ).reset_index(drop=True)


def _numbers(drawn: Diagnostics) -> Html:
    score, mass, overlap = drawn.score, drawn.mass, drawn.overlap
    rows: list[list[object]] = [
        ["effective sample size", percent(drawn.ess_share), "of the rows; 100 %: uniform"],
        ["entropy", percent(drawn.entropy_share), "of the largest possible"],
        ["overlap with top-k", percent(overlap.top_k), "the same budget at τ = 0"],
        ["overlap with chance", percent(overlap.random_expected), "expected of a uniform draw"],
    ]
    if score.lift is not None:
        top = f"top-k: {percent(score.top_k_lift)}" if score.top_k_lift is not None else ""
        rows.insert(0, ["mean score above the pool's", percent(score.lift, 1), top])
    if mass.subset is not None:
        share = f"random: {percent(mass.random)}"
        rows.append(["share of the total score", percent(mass.subset), share])
    if overlap.seeds_mean is not None:
        rows.append(["overlap with other seeds", percent(overlap.seeds_mean), "mean"])
    return table(["", "", ""], rows, numeric=[1])


def _before_after(figures: Figures, drawn: Distribution, axis: str, what: str) -> Html:
    bins = dist.Bins(np.asarray(drawn.edges, dtype=np.float64), log=False)
    before, after = (np.asarray(counts, dtype=np.int64) for counts in (drawn.pool, drawn.subset))
    return _both(
        figures,
        lambda theme: selection_figures.before_after(before, after, bins, theme, x_title=axis),
        f"{what} before (filled) and after (line): mean {plain(drawn.pool_mean, 3)} in the "
        f"pool, {plain(drawn.subset_mean, 3)} in the subset.",
    )


def _missing(title: str, key: str, stage: str) -> Html:
    return section(title, key, paragraph(f"Not there yet: the stage {stage} has not been run."))
