"""Does the rival score, the loss without the reasoning heads, rank samples as the attention does?

``head_influence`` (scoring/influence.py, after AttentionInfluence, arXiv 2505.07293) needs the same
heads as the attention scores and twice their forward passes. On a scoring that has both:

1. Spearman of it with every other score and with length, plain and with the number of tokens held
   fixed, on ranks. Intervals are percentile bootstraps over rows, each at the level that all of
   them hold together (Bonferroni).
2. Where random heads' influence was computed too: Spearman with theirs, beside theirs among
   themselves, against what one more random set might do (set_effects.py). If these are alike, it is
   not *these* heads that it tells of.
3. What the top tenth by it shares with the top tenth by each other score.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.aliases import Floats
from circuitseer_core.correlation import draws_in_words, over_draws
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.experiment import ExperimentOptions, ExperimentResult
from circuitseer_core.experiments.intervals import BONFERRONI, bonferroni_level, percentile
from circuitseer_core.experiments.rank_association import RankTable, held_fixed
from circuitseer_core.experiments.set_effects import apart, decided
from circuitseer_core.runs.columns import (
    ATTENTION_SCORERS,
    BASELINE_SCORERS,
    INFLUENCE,
    control_columns,
)
from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.budgets import rows_of
from circuitseer_core.selection.overlap import drawn, shared
from circuitseer_core.wording import count, percent, signed

NAME = "masked-loss"
TOKENS = "length"
LEAST_ROWS = 20


class Options(ExperimentOptions):
    """Options of ``validate masked-loss``."""

    scores: str = Field("default", description="a scoring made with --head-influence")
    scorer: str = Field("variance", description="the score that the verdict compares it with")
    fraction: float = Field(0.1, gt=0, lt=1, description="share of the rows that is the top")
    boots: int = Field(1000, ge=50, description="bootstraps of the rows")
    seed: int = Field(0, description="seed of the bootstraps")


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module.

    Raises:
        UserError: the scoring has no head_influence, no such scorer, or too few rows with both.
    """
    chosen = Options.of(**options)
    frame = run.scores(chosen.scores)
    if INFLUENCE not in frame:
        raise UserError(
            f"scoring {chosen.scores!r} has no {INFLUENCE}: score under another --name with "
            "--head-influence"
        )
    known = (*ATTENTION_SCORERS, *BASELINE_SCORERS)
    others = [s for s in known if s in frame and frame[s].notna().sum() >= LEAST_ROWS]
    if chosen.scorer not in others:
        raise UserError(f"option scorer: {chosen.scorer!r} is none of {', '.join(others)}")
    controls = [
        name for name in control_columns(INFLUENCE, frame.columns) if frame[name].notna().any()
    ]
    used = frame[[INFLUENCE, "n_tokens", *others, *controls]].dropna()
    if len(used) < LEAST_ROWS:
        raise UserError(f"only {count(len(used), 'row')} have {INFLUENCE} and all other scores")
    values = {name: used[name].to_numpy(dtype=np.float64) for name in used}
    values[TOKENS] = values.pop("n_tokens")
    numbers = compare(values, others, controls, chosen)
    numbers |= {"scorer": chosen.scorer, "fraction": chosen.fraction}
    table = pd.DataFrame([{"scorer": name} | each for name, each in numbers["scores"].items()])
    title = "Does the loss without the reasoning heads rank samples as their attention does?"
    return ExperimentResult(
        NAME, title, verdict(numbers), numbers, table, outcome(numbers), (PLOT,)
    )


def compare(
    values: dict[str, Floats], others: list[str], controls: list[str], options: Options
) -> dict[str, Any]:
    """The verdict's numbers from (n,) columns: influence, ``others``, length, random heads'."""
    names = [*others, TOKENS]
    table = RankTable(values)
    own, tokens = table.places([INFLUENCE])[0], table.places([TOKENS])
    level = bonferroni_level(len(names) + len(others))
    drawn_matrices = list(table.resampled(options.boots, options.seed))
    whole = table.correlations()
    top = _top(values[INFLUENCE], options.fraction)
    scores: dict[str, Any] = {}
    for name in names:
        at = table.places([name])
        plain = percentile(whole[at[0], own], np.array([m[at[0], own] for m in drawn_matrices]),
                           level)  # fmt: skip
        line: dict[str, Any] = {
            "rows": table.rows,
            "spearman": plain.estimate,
            "low": plain.low,
            "high": plain.high,
        }
        if name != TOKENS:
            fixed = percentile(
                float(held_fixed(whole, at, own, tokens)[0]),
                np.array([held_fixed(m, at, own, tokens)[0] for m in drawn_matrices]),
                level,
            )
            line |= {"at_length": fixed.estimate, "at_length_low": fixed.low}
            line |= {"at_length_high": fixed.high}
        line["top_shared"] = shared(top, _top(values[name], options.fraction))
        scores[name] = line
    return {
        "rows": table.rows,
        "comparisons": len(names) + len(others),
        "scores": scores,
        "controls": _controls(table, whole, drawn_matrices, own, controls),
    }


def _top(score: Floats, fraction: float) -> Any:
    noise = np.zeros(len(score))
    return drawn(score, noise, 0.0, rows_of(fraction, len(score)))


def _controls(
    table: RankTable, whole: Floats, resampled: list[Floats], own: int, controls: list[str]
) -> dict[str, Any] | None:
    """Spearman with random heads' influence, theirs among themselves, and the difference."""
    if len(controls) < 2:
        return None
    at = table.places(controls)
    off = ~np.eye(len(at), dtype=bool)

    def gap(matrix: Floats) -> float:
        return float(matrix[np.ix_(at, at)][off].mean() - matrix[at, own].mean())

    rows_error = float(np.std([gap(matrix) for matrix in resampled], ddof=1))
    with_ours, alike = whole[at, own], whole[np.ix_(at, at)]
    compared = decided([apart(with_ours, alike, rows_error, table.rows)])[0]
    return {
        "draws": len(controls),
        "spearman": float(with_ours.mean()),
        "spearman_interval": over_draws(with_ours),
        "among": float(alike[off].mean()),
        "gap": compared["gap"],
        "gap_low": compared["low"],
        "gap_high": compared["high"],
        "found": compared["found"],
    }


def outcome(numbers: dict[str, Any]) -> Outcome:
    """Whether it goes with the chosen score beyond length."""
    line = numbers["scores"][numbers["scorer"]]
    return Outcome.judge(
        f"Spearman of {INFLUENCE} with {numbers['scorer']} at fixed length",
        line["at_length"],
        line["at_length_low"],
        line["at_length_high"],
        relevant=limits.RIVAL,
        comparisons=numbers["comparisons"],
        correction=BONFERRONI,
    )


PLOT = Plot(
    kind="intervals",
    caption="Rank correlation of head_influence with every other score, with intervals over rows.",
    label="scorer",
    x="spearman",
    low="low",
    high="high",
    x_title="Spearman with head_influence",
    references={"no agreement": 0.0},
)


def verdict(numbers: dict[str, Any]) -> str:
    """The answer in sentences."""
    scorer, scores = numbers["scorer"], numbers["scores"]
    line = scores[scorer]
    state = outcome(numbers).state
    rest = ", ".join(
        f"{name} {signed(each['spearman'])}" for name, each in scores.items() if name != scorer
    )
    text = (
        f"On {count(numbers['rows'], 'row')} {INFLUENCE} has Spearman {signed(line['spearman'])} "
        f"({signed(line['low'])} to {signed(line['high'])}) with {scorer}, and at fixed length "
        f"{signed(line['at_length'])} ({signed(line['at_length_low'])} to "
        f"{signed(line['at_length_high'])}): "
    )
    text += {
        "found": "they agree beyond length",
        "no evidence": "no evidence that they agree beyond length",
        "inconclusive": "whether they agree beyond length is open",
    }[state]
    text += (
        f" ({BONFERRONI}, {numbers['comparisons']} comparisons). Their top "
        f"{percent(numbers['fraction'])} share {percent(line['top_shared'])} (chance "
        f"{percent(numbers['fraction'])}). With the others: {rest}."
    )
    controls = numbers["controls"]
    if controls is None:
        return f"{text} Whether it needs these heads is unknown without --head-influence-controls."
    tells = "it tells these heads from random ones"
    draws = draws_in_words(controls["draws"], controls["spearman_interval"])
    return (
        f"{text} With random heads' influence it has Spearman {signed(controls['spearman'])} "
        f"({draws}), theirs among themselves {signed(controls['among'])} (difference "
        f"{signed(controls['gap'])}, {signed(controls['gap_low'])} to "
        f"{signed(controls['gap_high'])} beside one more random set): "
        f"{tells if controls['found'] else f'that {tells} is not shown'}."
    )
