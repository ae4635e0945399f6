"""What ``transfer`` says: verdict and plots, from its numbers."""

from __future__ import annotations

from typing import Any

from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.wording import count, percent, signed


def verdict(numbers: dict[str, Any], outcome: Outcome) -> str:
    """The answer in sentences."""
    rho, low, high = numbers["spearman"]
    at_length, at_length_low, at_length_high = numbers["at_length"]
    text = (
        f"{numbers['one']} and {numbers['other']} scored {count(numbers['rows'], 'sample')} in "
        f"common (matched by {numbers['matched_by']}). Spearman of {numbers['scorer']} "
        f"{signed(rho)} (95 % interval {signed(low)} to {signed(high)}), at fixed length and "
        f"source {signed(at_length)} ({signed(at_length_low)} to {signed(at_length_high)}): "
    )
    text += {
        "found": "the scores agree beyond what length makes of both.",
        "no evidence": "no evidence that they agree beyond what length makes of both.",
        "inconclusive": "whether they agree beyond length is open.",
    }[outcome.state]
    return f"{text} {_subsets(numbers)} {_use(numbers)}"


def _subsets(numbers: dict[str, Any]) -> str:
    text = f"Of the rows that either would draw at {percent(numbers['fraction'])}, "
    if numbers["overlap_soft"] is not None:
        share, low, high = numbers["overlap_soft"]
        gap, gap_low, gap_high = numbers["beyond_floor"]
        text += (
            f"soft draws under one seed share {percent(share, 1)} ({percent(low, 1)} to "
            f"{percent(high, 1)} over {numbers['seeds']} seeds), {percent(gap, 1)} "
            f"({percent(gap_low, 1)} to {percent(gap_high, 1)}) of the rows above the "
            f"{percent(numbers['floor'], 1)} that permuted scores share under the same noise "
            f"(of what that leaves {percent(numbers['corrected'], 1)}); "
        )
    return text + (
        f"the top-scored ones share {percent(numbers['overlap_top'], 1)} "
        f"({_top(numbers, 1)}; chance {percent(numbers['chance'], 1)}; the longest rows share "
        f"{percent(numbers['overlap_longest'], 1)} with the other's top)."
    )


def _top(numbers: dict[str, Any], digits: int = 0) -> str:
    low, high = (percent(end, digits) for end in numbers["overlap_top_interval"])
    return f"95 % interval {low} to {high}"


def _use(numbers: dict[str, Any]) -> str:
    """What it says of scoring with the smaller model and training the larger."""
    if numbers["same_model"]:
        return "Both scorings are of one model: this says nothing of transfer between models."
    sizes = numbers["parameters"]
    who = "one model"
    if all(sizes) and sizes[0] != sizes[1]:
        who = f"the smaller model ({numbers['one' if sizes[0] < sizes[1] else 'other']})"
    share = percent(numbers["overlap_top"])
    return (
        f"For weak-to-strong use: of what the other model would take as its top rows, scoring with "
        f"{who} finds {share} ({_top(numbers)}); whether its subset trains as "
        "well is not measured here."
    )


def plots(numbers: dict[str, Any]) -> tuple[Plot, ...]:
    """Rank correlations: all rows, at fixed length, by source; and the tops' overlap by source."""
    caption = (
        f"Spearman of {numbers['scorer']} between {numbers['one']} and {numbers['other']}, over "
        "all rows, at fixed length and source, by length alone (the tokens against the second "
        "scoring), and by source"
    )
    if numbers["sources"]:
        caption += f" (those intervals corrected for {numbers['sources']} sources)"
    correlations = Plot(
        kind="intervals", caption=caption + ".", label="rows_of", x="estimate", low="low",
        high="high", x_title="rank correlation", references={"no correlation": 0.0},
    )  # fmt: skip
    if not numbers["sources"]:
        return (correlations,)
    return (
        correlations,
        Plot(
            kind="intervals", label="rows_of", x="overlap_top", low="top_low", high="top_high",
            where={"kind": "source"}, shares=True, x_title="top rows in common",
            references={"chance": numbers["fraction"]},
            caption=f"Share of the top {percent(numbers['fraction'])} of every source's rows that "
            f"both scores take; intervals corrected for {numbers['sources']} sources.",
        ),
    )  # fmt: skip
