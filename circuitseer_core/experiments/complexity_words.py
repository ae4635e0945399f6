"""What ``complexity`` says: verdict, outcome and plots, from its numbers."""

from __future__ import annotations

import math
from typing import Any

from circuitseer_core import limits
from circuitseer_core.experiments.complexity_table import QUESTIONS
from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.wording import count, percent, signed

_THINGS = {
    "beyond_length": "length",
    "beyond_surface": "surface",
    "beyond_random_heads": "random heads of the same layers",
}
FEW_DRAWS = 19
"""Fewer control draws than this cannot show at 5 % that a set of heads stands above random ones."""


def answers(numbers: dict[str, Any]) -> dict[str, Outcome]:
    """One outcome a question."""
    measures = {
        "beyond_length": f"{numbers['scorer']} with {numbers['reference']} at fixed length",
        "beyond_surface": (
            f"{numbers['scorer']} with {numbers['reference']} at fixed length and surface"
        ),
        "beyond_random_heads": (
            f"the same at fixed length, less the mean of {numbers['draws']} draws of random heads"
        ),
    }
    outcomes = {}
    for key, measure in measures.items():
        outcome = Outcome.judge(
            measure,
            *numbers[key],
            relevant=limits.CORRELATION,
            comparisons=QUESTIONS,
            correction=numbers["correction"],
        )
        if key == "beyond_random_heads" and outcome.state == "found":
            # Their mean alone is beaten by half of all sets: by rank, as one more draw would be.
            by_rank = (1 + numbers["draws_reaching"]) / (1 + numbers["draws"])
            if by_rank > limits.CHANCE:
                few = numbers["draws"] < FEW_DRAWS
                outcome.state = "inconclusive" if few else "no evidence"
        outcomes[key] = outcome
    return outcomes


def outcome(numbers: dict[str, Any]) -> Outcome:
    """The whole: found where all three questions are; else the first that is not decides."""
    outcomes = list(answers(numbers).values())
    for state in ("no evidence", "inconclusive"):
        for one in outcomes:
            if one.state == state:
                return one
    return outcomes[-1]


def verdict(numbers: dict[str, Any]) -> str:
    """The answer in sentences."""
    scorer, reference = numbers["scorer"], numbers["reference"]
    text = (
        f"Over {count(numbers['rows'], 'row')}, {scorer} with {reference}: Spearman "
        f"{_with_interval(numbers['spearman'])}."
    )
    parts = [_answer(key, one, numbers) for key, one in answers(numbers).items()]
    return " ".join(part for part in [text, *parts, _made_of(numbers)] if part)


def _answer(key: str, one: Outcome, numbers: dict[str, Any]) -> str:
    thing = _THINGS[key]
    if one.estimate is None:
        why = {
            "beyond_surface": "the texts are not at hand",
            "beyond_random_heads": "the scoring has no random-head controls",
        }
        reason = why.get(key, f"at fixed length nothing of {numbers['scorer']} is left")
        return f"Whether it carries more than {thing} is not known: {reason}."
    word = {
        "found": f"It carries more than {thing}",
        "no evidence": f"No evidence that it carries more than {thing}",
        "inconclusive": f"Whether it carries more than {thing} is open",
    }[one.state]
    interval = f"({percent(one.level)} interval over {one.comparisons} questions "
    interval += f"{signed(one.low or 0.0)} to {signed(one.high or 0.0)})"
    if key != "beyond_random_heads":
        fixed = "length" if key == "beyond_length" else "length and surface"
        return f"{word}: at fixed {fixed} {signed(one.estimate)} {interval}."
    text = (
        f"{word}: at fixed length the mean of {count(numbers['draws'], 'draw')} of random heads "
        f"has {signed(numbers['random_heads'][0])}, a gap of {signed(one.estimate)} {interval}; "
        f"{numbers['draws_reaching']} of the draws reach as much."
    )
    if numbers["draws"] < FEW_DRAWS:
        text += " So few draws say little of where the chosen heads stand among random ones."
    return text


def _made_of(numbers: dict[str, Any]) -> str:
    parts = [
        f"{name} {percent(max(0.0, share))} ({percent(max(0.0, low))} to {percent(max(0.0, high))})"
        for name, (share, low, high) in numbers["made_of"].items()
        if math.isfinite(share)
    ]
    if not parts:
        return ""
    return (
        f"Of the rank variance of {numbers['scorer']} are explained, held out: {', '.join(parts)}."
    )


def _with_interval(values: list[float]) -> str:
    estimate, low, high = values
    return f"{signed(estimate)} (95 % interval {signed(low)} to {signed(high)})"


def plots(numbers: dict[str, Any]) -> tuple[Plot, ...]:
    """The scorer against every reference; every scorer against the one; what scores are made of."""
    scorer, reference = numbers["scorer"], numbers["reference"]
    none = {"no correlation": 0.0}
    common: dict[str, Any] = {
        "kind": "intervals", "x": "estimate", "low": "low", "high": "high",
        "x_title": "rank correlation", "references": none,
    }  # fmt: skip
    corrected = (
        f"intervals corrected for {numbers['table_comparisons']} pairs of scorer and reference"
    )
    return (
        Plot(
            caption=f"{scorer} against every reference of complexity, plain, at fixed length and "
            f"source, with the text's surface fixed too, and random heads of the same layers; "
            f"{corrected}.",
            label="target", group="measure", where={"part": "association", "scorer": scorer},
            **common,
        ),
        Plot(
            caption=f"Every scorer against {reference}; {corrected}.",
            label="scorer", group="measure", where={"part": "association", "target": reference},
            **common,
        ),
        Plot(
            kind="intervals", x="estimate", low="low", high="high", label="target",
            group="scorer", where={"part": "made of"}, shares=True,
            x_title="share of rank variance explained, held out",
            caption="What the scores are made of: least squares on ranks, judged on rows that the "
            "fit has not seen, with 95 % intervals.",
        ),
    )  # fmt: skip
