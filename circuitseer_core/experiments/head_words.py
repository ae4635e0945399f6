"""What ``heads`` says: verdict, outcome and plots, from its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from circuitseer_core import limits
from circuitseer_core.detection.heads import SHARE
from circuitseer_core.experiments.comparisons import HOLM, found_only_if
from circuitseer_core.experiments.head_answers import answer_sentence
from circuitseer_core.experiments.head_sets import ANY, SAME
from circuitseer_core.experiments.held_out import left_out_words
from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.wording import count, percent, plain, signed

REASONING, OTHER = "reasoning", "other text"
MAIN_SHARE = SHARE


def main_share(shares: Sequence[str]) -> str:
    """The share that the outcome speaks of: the paper's where it is among them."""
    return MAIN_SHARE if MAIN_SHARE in shares else shares[-1]


def outcome(numbers: dict[str, Any]) -> Outcome:
    """Found where the reasoning heads are needed more than random heads of their layers."""
    rows = [
        row
        for row in numbers["rows"]
        if (row["what"], row["group"], row["against"]) == ("ablate", REASONING, SAME)
    ]
    share = main_share([row["share"] for row in rows])
    row = next(row for row in rows if row["share"] == share)
    judged = Outcome.judge(
        f"rise of the loss without {percent(float(share))} of the heads over that without random "
        "heads of their layers (nats)",
        row["gap"],
        row["low"],
        row["high"],
        relevant=limits.RISE,
        comparisons=numbers["comparisons"],
        correction=HOLM,
        p=row["p_holm"],
    )
    return found_only_if(judged, row["found"])


def plots(shares: Sequence[str], keep: bool) -> tuple[Plot, ...]:
    """The rise under every set of the main share, and where ``keep``, of the sets kept alone."""
    share = main_share(shares)
    k = percent(float(share))
    captions = {False: f"Rise of the loss with {k} of the heads ablated together"}
    if keep:
        captions[True] = f"Rise of the loss with only {k} of the heads kept, all others ablated"
    return tuple(
        Plot(
            kind="intervals",
            caption=f"{caption}: the reasoning heads and random sets, by source, with 95 % "
            "intervals over samples.",
            label="set",
            x="rise",
            low="rise_low",
            high="rise_high",
            group="source",
            where={"share": share, "keep": kept},
            x_title="rise of the loss (nats)",
            references={"no rise": 0.0},
        )
        for kept, caption in captions.items()
    )


def verdict(numbers: dict[str, Any]) -> str:
    """The answer in sentences."""
    parts = [
        f"{count(group['samples'], 'sample')} of {name} (clean loss {plain(group['clean'])} nats, "
        f"without any head {signed(group['all_heads'])})"
        for name, group in numbers["groups"].items()
    ]
    text = [f"On {' and '.join(parts)}."]
    text += [_effect(row, numbers["heads"]) for row in numbers["rows"] if row["against"] == SAME]
    text.append(_answer(numbers["rows"]))
    text.append(answer_sentence(numbers["answers"]))
    if OTHER not in numbers["groups"]:
        text.append("Without other=… (text that needs no reasoning) specificity is unknown.")
    text.append(f"Holm's correction is for {count(numbers['comparisons'], 'comparison')}.")
    text.append(left_out_words(numbers).strip())
    return " ".join(part for part in text if part)


def _effect(row: dict[str, Any], heads: dict[str, int]) -> str:
    """One comparison with random sets of the same layers."""
    k = f"{heads[row['share']]} ({percent(float(row['share']))})"
    tail = (
        f"{signed(row['ours'])}, {row['draws']} random sets of the same layers "
        f"{signed(row['random_low'])} to {signed(row['random_high'])} (gap {signed(row['gap'])}, "
        f"{signed(row['low'])} to {signed(row['high'])}{'' if row['found'] else ': not beyond'})."
    )
    if row["what"] == "specificity":
        low, high = row["interval"]
        return (
            f"Relative rise on reasoning less that on other text, {k} heads ablated "
            f"({signed(low)} to {signed(high)}): {tail}"
        )
    if row["what"] == "keep":
        return (
            f"Loss on {row['group']} with only {k} heads kept: {signed(-row['ours'])}, "
            f"{row['draws']} random sets of the same layers {signed(-row['random_high'])} to "
            f"{signed(-row['random_low'])} (saved beside them {signed(row['gap'])}, "
            f"{signed(row['low'])} to {signed(row['high'])}"
            f"{'' if row['found'] else ': not beyond'})."
        )
    return f"Loss on {row['group']} without {k} heads: {tail}"


_CLAIMS = (
    ("ablate", REASONING, "they are needed for reasoning more than random heads of their layers"),
    ("ablate", OTHER, "they are needed for other text more than random heads of their layers"),
    ("specificity", REASONING, "they are needed for reasoning more than for other text"),
    ("keep", REASONING, "kept alone they preserve more than random heads of their layers do"),
)


def _answer(rows: Sequence[dict[str, Any]]) -> str:
    """What is shown and what is not: against random sets of the same layers, as the outcome has
    it, and against those of any layer."""
    text = []
    for what, group, claim in _CLAIMS:
        of = [row for row in rows if (row["what"], row["group"]) == (what, group)]
        if of:
            text.append(f"That {claim}: {_shown(of, SAME)} (of any layer: {_shown(of, ANY)})")
    return "; ".join(text) + "."


def _shown(rows: Sequence[dict[str, Any]], against: str) -> str:
    """For which shares of heads a claim is found against these random sets."""
    shares = [row["share"] for row in rows if row["against"] == against and row["found"]]
    if not shares:
        return "not shown"
    return f"found for {', '.join(percent(float(share)) for share in shares)}"
