"""Do the scores of one reference model stand for those of another?

A small model is cheap to score with, a large one is what would be trained. Two runs (or two
scorings of one) over the same rows are compared:

1. Spearman of the scores, over all rows and by source, and the partial correlation at fixed length
   and source: two scores that both follow length agree without any heads.
2. Overlap of the subsets that both draw at one budget. Soft draws share their noise, seed by seed,
   so that the floor is what permuted scores would share under the same noise; the interval of the
   gap is over the seeds. Top-scored rows are compared with chance and with the longest rows.

What this says of weak-to-strong use is how far the smaller model's subset is the one that the
larger model would have drawn. Whether it trains as well is another question.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.aliases import Floats
from circuitseer_core.correlation import spearman
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.experiment import ExperimentOptions, ExperimentResult
from circuitseer_core.experiments.intervals import (
    BONFERRONI,
    Interval,
    bonferroni_level,
    of_errors,
    of_mean,
    of_spearman,
)
from circuitseer_core.experiments.matching import LEAST, MatchedRows, Side, match
from circuitseer_core.experiments.rank_association import (
    MOST_SOURCES,
    RankTable,
    held_fixed,
    source_columns,
)
from circuitseer_core.experiments.top_overlap import top_interval
from circuitseer_core.experiments.transfer_words import plots, verdict
from circuitseer_core.hashing import remix, to_gumbels
from circuitseer_core.runs.experiment_records import Outcome
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.budgets import rows_of
from circuitseer_core.selection.gumbel import draw_hashes
from circuitseer_core.selection.overlap import drawn, shared

NAME = "transfer"
ALL, AT_LENGTH = "all rows", "at fixed length"


class Options(ExperimentOptions):
    """Options of ``validate transfer``."""

    other: str | None = Field(
        None, description="the folder of the other run; none: another scoring of this one"
    )
    scores: str = Field("default", description="which scoring of this run")
    other_scores: str | None = Field(
        None, description="which scoring of the other; none: its default, or this run's second"
    )
    scorer: str = Field("variance", description="the scorer that is compared")
    fraction: float = Field(0.1, gt=0, lt=1, description="share of the rows to draw")
    temperature: float = Field(1.0, ge=0, description="temperature of the soft draws")
    seeds: int = Field(20, ge=2, description="draws that are compared, each under its own noise")
    bootstraps: int = Field(500, ge=50, description="resamples of the rows")
    seed: int = Field(0, description="seed of the draws and the resamples")


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module.

    Raises:
        UserError: no other scoring, no such scorer, or too few samples in both.
    """
    chosen = Options.of(**options)
    one, other = sides(run, chosen)
    rows = match(one, other)
    table = correlations(rows, chosen)
    subsets = overlaps(rows, chosen)
    top = _top_interval(rows, chosen)
    at_length = table.set_index("rows_of").loc[AT_LENGTH]
    outcome = Outcome.judge(
        f"Spearman of {chosen.scorer} at fixed length and source",
        *(float(at_length[name]) for name in ("estimate", "low", "high")),
        relevant=limits.CORRELATION,
    )
    numbers = {
        "one": one.label,
        "other": other.label,
        "parameters": [one.run.model.parameters, other.run.model.parameters],
        "same_model": one.run.model.weights_hash == other.run.model.weights_hash,
        "scorer": chosen.scorer,
        "rows": len(rows),
        "rows_of": list(rows.of),
        "matched_by": rows.by,
        "fraction": chosen.fraction,
        "spearman": table.set_index("rows_of").loc[ALL, ["estimate", "low", "high"]].tolist(),
        "at_length": at_length[["estimate", "low", "high"]].tolist(),
        "sources": int((table["kind"] == "source").sum()),
        "correction": BONFERRONI,
        **subsets,
        "overlap_top_interval": [top.low, top.high],
    }
    shares = [_line(ALL, "all", subsets, top), *_by_source(rows, chosen)]
    table = table.merge(pd.DataFrame(shares), on=["rows_of", "kind"], how="left")
    title = "Do the scores of one model stand for those of the other?"
    return ExperimentResult(
        NAME, title, verdict(numbers, outcome), numbers, table, outcome, plots(numbers)
    )


def sides(run: Run, options: Options) -> tuple[Side, Side]:
    """The two scorings that the options name."""
    one = Side(run, options.scores, options.scorer)
    if options.other is not None:
        other = Run.open(options.other)
        return one, Side(other, options.other_scores or "default", options.scorer)
    names = [name for name in run.scorings() if name != options.scores]
    run.scoring(options.scores)
    if options.other_scores is None and not names:
        raise UserError("there is nothing to compare with: give other=RUN, or score a second time")
    return one, Side(run, options.other_scores or names[0], options.scorer)


def correlations(rows: MatchedRows, options: Options) -> pd.DataFrame:
    """rows_of, kind (all, controlled, source, yardstick), rows, estimate, low, high.

    The sources' intervals are corrected for their number.
    """
    lines = [
        (ALL, "all", len(rows), of_spearman(spearman(rows.one, rows.other), len(rows))),
        (AT_LENGTH, "controlled", len(rows), _at_length(rows, options)),
        (
            "by length alone", "yardstick", len(rows),
            of_spearman(spearman(rows.tokens, rows.other), len(rows)),
        ),
    ]  # fmt: skip
    parts = _of_sources(rows)
    level = bonferroni_level(len(parts))
    for name, part in parts.items():
        rho = of_spearman(spearman(part.one, part.other), len(part), level)
        lines.append((name, "source", len(part), rho))
    return pd.DataFrame(
        [(name, kind, n, i.estimate, i.low, i.high) for name, kind, n, i in lines],
        columns=["rows_of", "kind", "rows", "estimate", "low", "high"],
    )


def _of_sources(rows: MatchedRows) -> dict[str, MatchedRows]:
    """The rows of every source of 30 or more, the largest first; none where there is one alone."""
    sources = pd.Series(rows.source)
    named = [n for n, count in sources.value_counts().items() if count >= LEAST][:MOST_SOURCES]
    if len(named) < 2:
        return {}
    return {str(name): rows.where((sources == name).to_numpy()) for name in named}


def _by_source(rows: MatchedRows, options: Options) -> list[dict[str, Any]]:
    """What draws share within every source, at the same share of its rows.

    Intervals are corrected for the number of sources.
    """
    parts = _of_sources(rows)
    return [
        _line(name, "source", overlaps(part, options), _top_interval(part, options, len(parts)))
        for name, part in parts.items()
    ]


def _line(name: str, kind: str, subsets: dict[str, Any], top: Interval) -> dict[str, Any]:
    """For the table: rows_of, kind, drawn, overlap_soft, floor, beyond_floor, overlap_top, top_low,
    top_high."""
    soft, gap = ((subsets.get(key) or [np.nan])[0] for key in ("overlap_soft", "beyond_floor"))
    return {
        "rows_of": name,
        "kind": kind,
        "drawn": subsets["drawn"],
        "overlap_soft": soft,
        "floor": subsets.get("floor", np.nan),
        "beyond_floor": gap,
        "overlap_top": subsets["overlap_top"],
        "top_low": top.low,
        "top_high": top.high,
    }


def _top_interval(rows: MatchedRows, options: Options, comparisons: int = 1) -> Interval:
    """What the top-scored rows share, with its interval from resampled rows.

    Of more resamples where it is corrected: its ends then lie where fewer of them are.
    """
    still = to_gumbels(draw_hashes(rows.ids, options.seed))
    return top_interval(
        rows.one, rows.other, still, rows_of(options.fraction, len(rows)),
        level=bonferroni_level(comparisons), times=options.bootstraps * min(4, comparisons),
        seed=options.seed,
    )  # fmt: skip


def _at_length(rows: MatchedRows, options: Options) -> Interval:
    """Partial rank correlation of the scores at fixed length and source, bootstrapped over rows."""
    groups = source_columns(rows.source)
    table = RankTable({"one": rows.one, "other": rows.other, "tokens": rows.tokens}, groups)
    z = table.places(["tokens", *groups])

    def partial(matrix: Floats) -> float:
        return float(held_fixed(matrix, table.places(["one"]), 1, z)[0])

    draws = np.array([partial(m) for m in table.resampled(options.bootstraps, options.seed)])
    return of_errors(partial(table.correlations()), float(draws.std(ddof=1)))


def overlaps(rows: MatchedRows, options: Options) -> dict[str, Any]:
    """What draws from both scores share: soft ones seed by seed beside the floor, and the tops.

    ``overlap_soft``: share of the rows, with the interval over seeds; ``floor``: the same of
    permuted scores under the same noise; ``beyond_floor``: the gap, ``corrected``: the share on a
    scale from 0 at the floor to 1, the same rows. ``overlap_top`` beside
    ``chance`` and ``overlap_longest``, what the longest rows share with the other's top.
    """
    k = rows_of(options.fraction, len(rows))
    hashes = draw_hashes(rows.ids, options.seed)
    still = to_gumbels(hashes)
    top = drawn(rows.other, still, 0.0, k)
    numbers: dict[str, Any] = {
        "drawn": k,
        "chance": k / len(rows),
        "overlap_top": shared(drawn(rows.one, still, 0.0, k), top),
        "overlap_longest": shared(drawn(rows.tokens, still, 0.0, k), top),
        "overlap_soft": None,
    }
    if min(rows.one.min(), rows.other.min()) < 0 and options.temperature > 0:
        return numbers  # soft sampling has no meaning for negative scores
    rng = np.random.default_rng(options.seed)
    pairs = []
    for number in range(options.seeds):
        noise = to_gumbels(remix(hashes, number))
        wanted = drawn(rows.other, noise, options.temperature, k)
        own = drawn(rows.one, noise, options.temperature, k)
        blind = drawn(rng.permutation(rows.one), noise, options.temperature, k)
        pairs.append((shared(own, wanted), shared(blind, wanted)))
    soft, floor = np.array(pairs).T
    for name, values in (("overlap_soft", soft), ("beyond_floor", soft - floor)):
        interval = of_mean(values)
        numbers[name] = [interval.estimate, interval.low, interval.high]
    level = float(floor.mean())
    return numbers | {
        "floor": level,
        "corrected": limits.beyond_chance(float(soft.mean()), level),
        "seeds": options.seeds,
    }
