"""What a training study says: its outcome, its sentences, its figures."""

from __future__ import annotations

from typing import Any

import pandas as pd

from circuitseer_core.experiments.comparisons import FALSE_FINDING, HOLM, found_only_if
from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.training.settings import FULL, UNTRAINED
from circuitseer_core.wording import count, duration, listing, p_value, percent, plain, signed

LOSS_PLOTS = (
    Plot(
        kind="intervals",
        caption="Held-out response loss against the reference arm, by kind of arm: "
        "left of zero is better",
        label="arm", x="difference", low="low", high="high",
        where={"measure": "loss", "source": "all"},
        x_title="difference of held-out loss (nats)", references={"no difference": 0.0},
    ),
    Plot(
        kind="intervals",
        caption="The same by source of the held-out samples; single intervals, not corrected for "
        "their number",
        label="arm", x="difference", low="low", high="high", group="source",
        where={"measure": "loss", "whole": False},
        x_title="difference of held-out loss (nats)", references={"no difference": 0.0},
    ),
)  # fmt: skip


def plots(table: pd.DataFrame) -> tuple[Plot, ...]:
    """Of the loss, and of right answers where they were asked for."""
    if not (table["measure"] == "accuracy").any():
        return LOSS_PLOTS
    answers = Plot(
        kind="intervals",
        caption="Share of right greedy answers against the reference arm, by kind of arm: "
        "right of zero is better",
        label="arm", x="difference", low="low", high="high",
        where={"measure": "accuracy", "source": "all"}, shares=True,
        x_title="difference of right answers", references={"no difference": 0.0},
    )  # fmt: skip
    return (*LOSS_PLOTS, answers)


def verdict(table: pd.DataFrame, numbers: dict[str, Any]) -> str:
    """The answer in sentences."""
    reference = numbers["reference"]
    loss = _whole(table, "loss")
    seeds, items = (int(loss.loc[reference, name]) for name in ("seeds", "items"))
    others = _others(loss, reference)
    paired = int(others["seeds"].max()) if len(others) else seeds
    sentences = [*_what_was_done(loss, numbers, seeds, items), *_left_out(numbers)]
    if paired == 1:
        sentences.append(
            "One seed: intervals and p are of these two models on new samples, and leave out what "
            "another seed would change, so nothing is told of the arms."
        )
    for kind, row in others.sort_values("difference").iterrows():
        sentences.append(
            f"{kind}: {signed(row['difference'], 4)} ({signed(row['low'], 4)} to "
            f"{signed(row['high'], 4)}; Holm {p_value(row['p_holm'])}"
            f"{'; one seed' if row['seeds'] == 1 < paired else ''})."
        )
    clear = others[(others["p_holm"] < FALSE_FINDING) & (others["seeds"] > 1)]
    if clear.empty and paired > 1:
        sentences.append(f"No arm differs clearly from {reference} (Holm over {len(others)}).")
    if len(others) and paired > 1:
        paired_arms = others[others["seeds"] > 1]
        sentences.append(seeds_needed(paired_arms, numbers["see"], items, len(others)))
    sentences += _answers(table, reference, paired)
    sentences += _rate(numbers)
    if numbers["seconds"]:
        sentences.append(f"The models took {duration(numbers['seconds'])} in all.")
    return " ".join(sentences)


def _whole(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    return table[(table["measure"] == measure) & table["whole"]].set_index("arm")


def _others(whole: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The trained arms but the reference, where their difference is known."""
    return whole.drop(index=[reference, UNTRAINED], errors="ignore").dropna(subset=["difference"])


def _what_was_done(
    loss: pd.DataFrame, numbers: dict[str, Any], seeds: int, items: int
) -> list[str]:
    reference = numbers["reference"]
    each = "on each arm"
    if FULL in loss.index:
        whole = [line for line in numbers["seen"] if line["arm"] == FULL and line["tokens"]]
        part = f", {_part_seen(whole)} of its tokens" if whole else ""
        steps = count(numbers["full_steps"] or numbers["steps"], "step")
        each = f"on each arm ({FULL}: {steps}{part})"
    after = plain(float(loss.loc[reference, "mean"]), 4)
    first = (
        f"{numbers['model']} trained for {count(numbers['steps'], 'step')} {each}, "
        f"{count(seeds, 'seed')}, judged on {count(items, 'held-out sample')}: "
        f"{after} nats of response loss after {reference}."
    )
    sentences = [first]
    if UNTRAINED in loss.index:
        sentences.append(f"Before training: {plain(float(loss.loc[UNTRAINED, 'mean']), 4)}.")
    own = [line for line in numbers["seen"] if line["arm"] != FULL and line["tokens"]]
    if own:
        tokens = [line["tokens"] for line in own]
        sentences.append(
            f"A model saw {_range([f'{n:,}' for n in (min(tokens), max(tokens))])} tokens, "
            f"{_part_seen(own)} of its arm's."
        )
    return sentences


def _part_seen(lines: list[dict[str, Any]]) -> str:
    """Tokens that models were trained on, as a share of their arm's."""
    shares = [line["tokens"] / max(1, line["arm_tokens"]) for line in lines]
    return _range([percent(share) for share in (min(shares), max(shares))])


def _rate(numbers: dict[str, Any]) -> list[str]:
    """How the learning rate was chosen, and whether it is the last of those tried."""
    rate = numbers.get("learning_rate")
    if rate is None:
        return []
    tried = {float(name): loss for name, loss in numbers["development_loss"].items()}
    if len(tried) < 2:
        return [f"Learning rate {rate:g}, the only one given."]
    rates = sorted(tried)
    text = f"Learning rate {rate:g}, of {listing([f'{one:g}' for one in rates], 8)} the best on "
    text += "held-out samples that no arm is judged on"
    if rate == rates[-1]:
        return [f"{text}; it is the highest tried, and a higher one may be better."]
    if rate == rates[0]:
        return [f"{text}; it is the lowest tried, and a lower one may be better."]
    return [f"{text}."]


def _range(ends: list[str]) -> str:
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _left_out(numbers: dict[str, Any]) -> list[str]:
    """Rows of arms that were too long, kinds that were skipped, held-out rows that were not."""
    sentences = [f"{kind} was not trained: {why}." for kind, why in numbers["skipped"].items()]
    short = [
        f"{label} {rows['long'] + rows['unusable']:,} of "
        f"{rows['used'] + rows['long'] + rows['unusable']:,}"
        for label, rows in numbers["rows"].items()
        if rows["long"] + rows["unusable"]
    ]
    if short:
        sentences.append(
            f"Rows left out as longer than {count(numbers['max_length'], 'token')} or without a "
            f"usable response: {listing(short, 8)}."
        )
    if left_out := numbers["heldout_left_out"]:
        rows = count(left_out, "held-out row")
        sentences.append(f"{rows} left out: an arm or the probe asks the same.")
    return sentences


def seeds_needed(others: pd.DataFrame, see: float, items: int, arms: int) -> str:
    """How many seeds would show the difference that matters, and what these show.

    ``arms``: how many were compared, which all of them are corrected for.
    """
    never = others["seeds_needed"].isna()
    parts = [
        f"{kind} with {count(int(row['seeds_needed']), 'seed')}"
        for kind, row in others[~never].iterrows()
    ]
    if never.any():
        names = listing([str(kind) for kind in others.index[never]], 12)
        parts.append(f"{names} with no number of seeds on {count(items, 'held-out sample')}")
    ends = [plain(float(x)) for x in (others["seen"].min(), others["seen"].max())]
    corrected = f", corrected for {count(arms, 'arm')}" if arms > 1 else ""
    return (
        f"A difference of {see:g} nats would be seen (80 % power{corrected}): {'; '.join(parts)}. "
        f"As it was done, one of {_range(ends)} nats would be."
    )


def _answers(table: pd.DataFrame, reference: str, seeds: int) -> list[str]:
    """What greedy answers say; nothing where none were asked for."""
    whole = _whole(table, "accuracy")
    if whole.empty or reference not in whole.index:
        return []
    asked = count(int(whole.loc[reference, "items"]), "problem")
    if not whole["mean"].any():
        return [f"Of {asked} answered greedily none is right: answers tell nothing of the arms."]
    text = f"Of {asked} answered greedily {percent(whole.loc[reference, 'mean'], 1)} are right "
    text += f"after {reference}"
    if UNTRAINED in whole.index:
        text += f", {percent(whole.loc[UNTRAINED, 'mean'], 1)} before training"
    others = _others(whole, reference).sort_values("difference", ascending=False)
    parts = [f"{kind} {_right_answers(row, seeds)}" for kind, row in others.iterrows()]
    if not parts:
        return [f"{text}."]
    of_what = "points of right answers" if seeds > 1 else "points (one seed)"
    return [f"{text}; differences in {of_what}: {'; '.join(parts)}."]


def _right_answers(row: pd.Series, seeds: int) -> str:
    """A difference in points; without an interval where no answer differs."""
    if pd.isna(row["low"]):
        return "none"
    return (
        f"{_points(row['difference'])} ({_points(row['low'])} to {_points(row['high'])}; "
        f"Holm {p_value(row['p_holm'])}{'; one seed' if row['seeds'] == 1 < seeds else ''})"
    )


def _points(share: float) -> str:
    return signed(100 * float(share), 1)


def outcome(table: pd.DataFrame, numbers: dict[str, Any]) -> Outcome | None:
    """Whether the soft draw trains better than the reference, corrected for the arms compared."""
    reference, loss = numbers["reference"], _whole(table, "loss")
    others = _others(loss, reference)
    if "soft" not in others.index:
        return None
    soft = others.loc["soft"]
    judged = Outcome.judge(
        f"held-out response loss after {reference} less that after the soft draw, in nats,",
        -float(soft["difference"]), -float(soft["high"]), -float(soft["low"]),
        relevant=numbers["see"], comparisons=len(others),
        correction=HOLM if len(others) > 1 else None, p=float(soft["p_holm"]),
    )  # fmt: skip
    judged = found_only_if(judged, bool(soft["p_holm"] < FALSE_FINDING))
    if int(soft["seeds"]) == 1:
        judged.state = "inconclusive"
    return judged
