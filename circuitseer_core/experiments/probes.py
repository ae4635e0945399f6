"""Do real runs with different probes find the same heads, and draw the same rows?

Runs of one model are compared pair by pair:

1. Share of the heads that both choose, beside what is expected of two probes of *one* population
   (detection/set_overlap.py): from the smaller probe whose map is exact, for as many samples as
   the smaller of the two has. Below that expectation's interval the probes differ by more than the
   luck of their samples. Between raced maps alone there is no such yardstick.
2. Spearman of the two importance maps, pilot estimates of raced-out heads included.
3. Where both scored the same rows: Spearman of the scores, and what the drawn subsets share above
   what shared noise gives.

The first run keeps the result. With ``rephrased`` the probes are the same problems in other words,
each detected on in a run of its own: 1. and 2. are then over these problems, beside what swapping
the phrasings at random gives (rephrasings.py).
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.correlation import spearman
from circuitseer_core.detection.heads import select_heads
from circuitseer_core.detection.set_overlap import HeadEstimates, expected_overlap
from circuitseer_core.distributions import Z95
from circuitseer_core.errors import UserError
from circuitseer_core.experiments import rephrasings, transfer
from circuitseer_core.experiments.experiment import ExperimentOptions, ExperimentResult
from circuitseer_core.experiments.held_out import Words
from circuitseer_core.experiments.intervals import BONFERRONI, bonferroni_level, of_errors
from circuitseer_core.experiments.matching import Side, match
from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, percent, signed

NAME = "probes"


class Options(ExperimentOptions):
    """Options of ``validate probes``."""

    others: Words = Field(
        (), description="folders of the other runs, separated by commas (--runs A B C sets it)"
    )
    rephrased: bool = Field(
        False,
        description="whether the probes are the same problems in other words, with the same ids: "
        "then beside swapped phrasings",
    )
    scores: str = Field("default", description="which scoring of this run")
    other_scores: Words = Field(
        (), description="which scoring of every other run, with commas; one for all; none: scores"
    )
    scorer: str = Field("variance", description="the scorer whose draws are compared")
    fraction: float = Field(0.1, gt=0, lt=1, description="share of the rows to draw")
    heads: int = Field(0, ge=0, description="heads of a set; 0: the default share of the model's")
    seeds: int = Field(10, ge=2, description="soft draws that are compared")
    seed: int = Field(0, description="seed of the draws and resamples")


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module.

    Raises:
        UserError: no detection yet, no other run, runs of different models, or ``rephrased`` with
            too few problems in common.
    """
    chosen = Options.of(**options)
    run.heads()
    if not chosen.others:
        raise UserError("there is nothing to compare with: give --runs A B, or others=B,C")
    runs = [run, *(Run.open(path) for path in chosen.others)]
    if len({one.model.weights_hash or one.model.id for one in runs}) > 1:
        raise UserError("these runs are of different models, whose heads cannot be compared")
    names = (chosen.scores, *_scorings(chosen))
    pairs = list(combinations(zip(runs, names, strict=True), 2))
    table = pd.DataFrame([_pair(one, other, len(pairs), chosen) for one, other in pairs])
    outcome = _outcome(table, chosen.rephrased)
    numbers = {
        "runs": [one.name for one in runs],
        "samples": [int(one.detection.n_probe or 0) for one in runs],
        "pairs": table.to_dict("records"),
        "correction": BONFERRONI,
        "rephrased": chosen.rephrased,
    }
    verdict = _verdict(table, outcome, chosen.rephrased)
    if chosen.rephrased:
        title, plots = rephrasings.TITLE, rephrasings.plots(table)
        return ExperimentResult(NAME, title, verdict, numbers, table, outcome, plots)
    title = "Do different probes find the same heads?"
    return ExperimentResult(NAME, title, verdict, numbers, _long(table), outcome, _plots(table))


def _scorings(options: Options) -> tuple[str, ...]:
    """The scoring of every other run. Raises UserError where it is not one each, or one for all."""
    asked, runs = options.other_scores or (options.scores,), len(options.others)
    if len(asked) not in (1, runs):
        raise UserError(f"other_scores names {len(asked)} scorings for {count(runs, 'other run')}")
    return asked * runs if len(asked) == 1 else asked


FOUND, EXPECTED = "in common", "two probes of one population"


def _long(table: pd.DataFrame) -> pd.DataFrame:
    """The pairs, each with a row below for what is expected: which, share, low, high."""
    measured = table.assign(which=FOUND, share=table["overlap"], low=np.nan, high=np.nan)
    names = {"expected": "share", "expected_low": "low", "expected_high": "high"}
    expected = table[["pair", *names]].rename(columns=names).dropna().assign(which=EXPECTED)
    columns = ["pair", "which", "share", "low", "high", *table.columns.drop("pair")]
    return pd.concat([measured, expected]).sort_values("pair", kind="stable")[columns]


Scored = tuple[Run, str]
"""A run and the name of its scoring."""


def _pair(first: Scored, second: Scored, pairs: int, options: Options) -> dict[str, Any]:
    """One pair of runs: overlap beside its expectation, Spearman of maps and scores, subsets."""
    one, other = first[0], second[0]
    top = options.heads or len(select_heads(one.heads()))
    subsets = _subsets(first, second, options)
    if options.rephrased:
        return rephrasings.swapped_pair(one, other, top, pairs, options.seed) | subsets
    sets = [set(select_heads(run.heads(), str(top))) for run in (one, other)]
    keys = ["layer", "head"]
    maps = one.heads().merge(other.heads(), on=keys, suffixes=("_one", "_other"))
    line: dict[str, Any] = {
        "pair": f"{one.name} / {other.name}",
        "heads": top,
        "overlap": len(sets[0] & sets[1]) / top,
        "chance": top / len(maps) if len(maps) else np.nan,
        "spearman": spearman(
            *(maps[f"importance_{side}"].to_numpy(dtype=np.float64) for side in ("one", "other"))
        ),
        "common_samples": len(_probe_ids(one) & _probe_ids(other)),
    }
    return line | _expected(one, other, top, pairs, options.seed) | subsets


def _expected(one: Run, other: Run, top: int, pairs: int, seed: int) -> dict[str, Any]:
    """What two probes of one population share, by the smaller probe with an exact map, for as many
    samples as the smaller of both has.

    A race leaves the heads that its own probe liked: what it expects of another is too much.
    """
    estimates = [HeadEstimates.of_run(run) for run in (one, other)]
    exact = [estimate for estimate in estimates if not estimate.raced]
    nothing = dict.fromkeys(("expected", "expected_low", "expected_high", "expected_of"), np.nan)
    if not exact:
        return nothing
    smaller = min(exact, key=lambda estimate: estimate.samples[0])
    fewest = min(estimate.samples[0] for estimate in estimates)
    expected = expected_overlap(smaller, top, samples=fewest, seed=seed)
    if expected is None:
        return nothing
    # the half width is of 95 %: wider where several pairs are judged together
    wide = of_errors(0.0, 1.0, bonferroni_level(pairs)).high / Z95
    reach = wide * max(expected.high - expected.expected, expected.expected - expected.low)
    return {
        "expected": expected.expected,
        "expected_low": max(0.0, expected.expected - reach),
        "expected_high": min(1.0, expected.expected + reach),
        "expected_of": expected.samples,
    }


def _probe_ids(run: Run) -> set[str]:
    probe = run.probe()
    return set(probe.loc[probe["set"] == "probe", "id"].astype(str))


def _subsets(first: Scored, second: Scored, options: Options) -> dict[str, Any]:
    """Scores and draws of the two runs over rows that both scored; NaN where there are none."""
    nothing = dict.fromkeys(
        ("rows", "scores_spearman", "overlap_soft", "floor", "beyond_floor", "beyond_low",
         "beyond_high", "overlap_top"),
        np.nan,
    )  # fmt: skip
    try:
        rows = match(*(Side(run, name, options.scorer) for run, name in (first, second)))
    except UserError:
        return nothing
    settings = transfer.Options(
        scorer=options.scorer, fraction=options.fraction, seeds=options.seeds, seed=options.seed
    )
    overlaps = transfer.overlaps(rows, settings)
    line = nothing | {
        "rows": len(rows),
        "scores_spearman": spearman(rows.one, rows.other),
        "overlap_top": overlaps["overlap_top"],
    }
    if overlaps["overlap_soft"] is not None:
        line["overlap_soft"], line["floor"] = overlaps["overlap_soft"][0], overlaps["floor"]
        names = ("beyond_floor", "beyond_low", "beyond_high")
        line |= dict(zip(names, overlaps["beyond_floor"], strict=True))
    return line


def _outcome(table: pd.DataFrame, rephrased: bool) -> Outcome:
    """That of the pair that says most: found in any, else open in any, else no evidence."""
    judged = rephrasings.outcomes(table) if rephrased else _falls(table)
    for state in ("found", "inconclusive", "no evidence"):
        of_state = [one for one in judged if one.state == state]
        if of_state:
            return max(of_state, key=lambda one: one.estimate or 0.0)
    return Outcome(state="inconclusive", measure="heads that the probes share")


def _falls(table: pd.DataFrame) -> list[Outcome]:
    """Found where a pair shares less than two probes of one population would."""
    judged = []
    for line in table.itertuples():
        if not np.isfinite(line.expected):
            continue
        fall = line.expected - line.overlap
        reach = line.expected - line.expected_low
        judged.append(
            Outcome.judge(
                f"heads that {line.pair} share fewer than two probes of one population would,",
                fall, fall - reach, fall + reach, relevant=limits.OVERLAP,
                comparisons=len(table), correction=BONFERRONI,
            )
        )  # fmt: skip
    return judged


HEADS = {
    "found": "The probes find different heads beyond the luck of their samples.",
    "no evidence": "No evidence that the probes find different heads beyond luck.",
    "inconclusive": "Whether the probes find different heads beyond luck is open.",
}


def _verdict(table: pd.DataFrame, outcome: Outcome, rephrased: bool) -> str:
    parts = [(rephrasings.HEADS if rephrased else HEADS)[outcome.state]]
    for line in table.to_dict("records"):
        text = rephrasings.words(line, len(table)) if rephrased else _shared(line)
        if np.isfinite(line["rows"]):
            text += f"; {_drawn(line)}"
        parts.append(text + ".")
    return " ".join(parts)


def _shared(line: dict[str, Any]) -> str:
    text = (
        f"{line['pair']}: {percent(line['overlap'])} of {count(line['heads'], 'head')} in "
        f"common (chance {percent(line['chance'])}"
    )
    if np.isfinite(line["expected"]):
        text += (
            f"; two probes of one population and {int(line['expected_of'])} samples "
            f"{percent(line['expected'])}, interval "
            f"{percent(line['expected_low'])} to {percent(line['expected_high'])}"
        )
    text += f"), maps with Spearman {signed(line['spearman'])}"
    if line["common_samples"]:
        text += f", though {count(line['common_samples'], 'sample')} stand in both probes"
    return text


def _drawn(line: dict[str, Any]) -> str:
    text = (
        f"on {count(int(line['rows']), 'row')} scored by both Spearman "
        f"{signed(line['scores_spearman'])}, top rows share {percent(line['overlap_top'])}"
    )
    if np.isfinite(line["overlap_soft"]):
        text += (
            f", soft draws {percent(line['overlap_soft'])} (shared noise alone "
            f"{percent(line['floor'])}, gap {signed(100 * line['beyond_floor'], 1)} points, "
            f"{signed(100 * line['beyond_low'], 1)} to {signed(100 * line['beyond_high'], 1)})"
        )
    return text


def _plots(table: pd.DataFrame) -> tuple[Plot, ...]:
    return (
        Plot(
            kind="intervals", label="pair", x="share", low="low", high="high", group="which",
            shares=True, x_title="heads in common",
            references={"chance": float(table["chance"].iloc[0])},
            caption="Share of the chosen heads that two runs have in common, and what two probes "
            "of one population would share, with the interval for one such pair, corrected for "
            f"{count(len(table), 'pair')}.",
        ),
    )  # fmt: skip
