"""The report's sections with figures: heads, scores, selection. Each works on what the run has."""

from __future__ import annotations

import numpy as np
import pandas as pd

from circuitseer_core import distributions
from circuitseer_core.correlation import control_agreement
from circuitseer_core.detection.settings import ablated
from circuitseer_core.distributions import t95
from circuitseer_core.figures.style import DARK, LIGHT
from circuitseer_core.markup import Html, paragraph, section, table
from circuitseer_core.report import run_figures
from circuitseer_core.report.html import Figures
from circuitseer_core.report.run_figures import Draw, grouped
from circuitseer_core.runs.selection_records import Diagnostics, Distribution
from circuitseer_core.signatures.evidence import Evidence, Scored
from circuitseer_core.wording import count, percent, plain, signed, tau

TOP_HEADS = 20


def _both(figures: Figures, draw: Draw | None, caption: str) -> Html:
    """A prepared figure in both themes; nothing where the run lacks its numbers."""
    return Html("") if draw is None else figures.add(draw(LIGHT), draw(DARK), caption)


def heads_section(facts: Evidence, figures: Figures) -> Html:
    """Map, sorted curve and table of the top heads; with a contrast set also the specificity."""
    table_ = facts.heads
    if table_ is None:
        return _missing("Reasoning heads", "heads", "detect")
    kept, ranked = facts.chosen, table_.sort_values("rank")
    parts: list[object] = [
        _both(
            figures,
            run_figures.heads_map(facts),
            f"Rise of the loss {_ablated(facts)} (ΔL, nats; square-root colour scale). The chosen "
            "heads are outlined.",
        ),
        _both(
            figures,
            run_figures.sorted_importance(facts),
            f"The same, sorted, with 95 % intervals; shaded: {count(len(kept), 'chosen head')}.",
        ),
        _top_heads(ranked.head(TOP_HEADS), set(kept)),
        _both(
            figures,
            run_figures.specificity_map(facts),
            "Specificity: relative rise of the loss on the probe less that on the contrast "
            "set. Heads that any text needs are near 0 here.",
        ),
    ]
    return section("Reasoning heads", "heads", *parts)


def _ablated(facts: Evidence) -> str:
    """What was done to heads, as far as it is known."""
    settings = facts.detection.settings
    return ablated(settings.ablation, settings.epsilon) if settings else ablated(None)


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
        if facts.scoring is None or not facts.settings.rows:
            return _missing("Scores", "scores", "score")
        none = f"No row of the scoring {facts.scoring} has a score {facts.scorer}."
        return section("Scores", "scores", paragraph(none))
    codes, labels = grouped(scored)
    parts_ = distributions.by_group(scored.score, codes, len(labels))
    statistics = distributions.statistics(scored.score, scored.tokens, codes, labels, parts_)
    parts: list[object] = [
        _both(
            figures,
            run_figures.score_histogram(facts),
            f"Distribution of {facts.scorer} by source, each source to its own scale; the line is "
            "the median, the number at the right the rows.",
        ),
        _statistics(statistics),
        _length_map(facts, figures),
        _controls(facts, scored, figures),
    ]
    return section("Scores", "scores", *parts)


def _statistics(statistics: pd.DataFrame) -> Html:
    columns = ["source", "rows", "mean", "sd", "p5", "median", "p95", "median tokens"]
    rows = [
        [r.group, f"{r.rows:,}", *(plain(v, 3) for v in (r.mean, r.sd, r.p5, r.median, r.p95)),
         f"{r.tokens:,.0f}"]
        for r in statistics.itertuples(index=False, name="Row")
    ]  # fmt: skip
    return table(columns, rows, numeric=range(1, len(columns)))


def _length_map(facts: Evidence, figures: Figures) -> Html:
    draw = run_figures.score_against_length(facts)
    if draw is None:
        return paragraph("The run holds no token counts.")
    caption = f"{facts.scorer} against the number of tokens; the line is the median at each length."
    return _both(figures, draw, caption)


def _controls(facts: Evidence, scored: Scored, figures: Figures) -> Html:
    draw = run_figures.random_heads(facts)
    agreement = control_agreement(scored.score, scored.controls) if draw else None
    agree = f" Spearman {signed(agreement.mean)} ({agreement.basis})." if agreement else ""
    together = np.isfinite([scored.score, *scored.controls]).all(axis=0)
    return _both(
        figures,
        draw,
        f"{facts.scorer} of the chosen heads and of as many random heads of the same layers, on "
        f"{count(int(together.sum()), 'row')}." + agree,
    )


def selection_section(facts: Evidence, figures: Figures) -> Html:
    """The newest selection: sources, scores and lengths before and after, and the numbers."""
    chosen = facts.selection
    if chosen is None or chosen.diagnostics is None:
        return _missing("Selection", "selection", "select")
    drawn = chosen.diagnostics
    settings = chosen.settings
    return section(
        "Selection",
        "selection",
        paragraph(
            f"{chosen.name}: {count(chosen.counts.selected, 'sample')} of "
            f"{drawn.pool_rows:,}, drawn by {settings.scorer} at τ = "
            f"{tau(chosen.temperature)}, seed {settings.seed}."
        ),
        _numbers(drawn),
        _both(
            figures,
            run_figures.source_shares(facts),
            "Share of each source in the pool and in the subset; grey: where 95 % of simulated "
            "draws of the same kind lie." + _left_out(facts),
        ),
        *(
            _both(figures, draw, _means(distribution, what))
            for draw, distribution, what in (
                (run_figures.drawn_scores(facts), drawn.distributions.score, "Scores"),
                (run_figures.drawn_lengths(facts), drawn.distributions.length, "Lengths"),
            )
        )
        if drawn.distributions
        else (),
    )


def _left_out(facts: Evidence) -> str:
    """That the figure has not all sources, where it has not."""
    missing = run_figures.sources_left_out(facts)
    return f" Without the {count(missing, 'source')} smallest in the pool." if missing else ""


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


def _means(drawn: Distribution, what: str) -> str:
    return (
        f"{what} before (filled) and after (line): mean {plain(drawn.pool_mean, 3)} in the "
        f"pool, {plain(drawn.subset_mean, 3)} in the subset."
    )


def _missing(title: str, key: str, stage: str) -> Html:
    return section(title, key, paragraph(f"Not there yet: the stage {stage} has not been run."))
