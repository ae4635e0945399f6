"""Worse than random: what training studies of the run say of its draw, where there are any."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from circuitseer_core.runs.experiment_records import ExperimentRecord
from circuitseer_core.runs.records import read_or_none
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.wording import count, plain, signed

_KEY, _PAGE = "worse-than-random", "evidence"
SOFT = "soft"
"""The arm of a training study that is the soft draw."""


def worse_than_random(facts: Evidence) -> Signature | None:
    """Held-out loss after the soft draw above that after the reference arm, beyond the interval.

    Unknown without a study; None without a selection, of which there would be nothing to know.
    """
    if facts.selection is None:
        return None
    study = _newest(facts.run.path / "experiments")
    if study is None:
        text = (
            "No model was trained on this draw (0 training studies in this run), so whether it is "
            "better than random rows, or worse, is unknown."
        )
        return Signature(
            _KEY, "info", "Whether it trains better than random is unknown", text, None, _PAGE
        )
    record, row = study
    reference = str(record.numbers.get("reference", "the reference arm"))
    difference, low, high = (float(row[name]) for name in ("difference", "low", "high"))
    text = (
        f"After training on the soft draw the held-out loss is {signed(difference, 4)} nats from "
        f"that after {reference} (95 % interval {signed(low, 4)} to {signed(high, 4)}, "
        f"{count(int(row['seeds']), 'seed')}, {count(int(row['items']), 'held-out sample')})."
    )
    if int(row["seeds"]) == 1:
        text += " One seed: that is of two models, and tells nothing of the draws."
        title = "One training seed does not tell whether this draw is better than random rows"
        return Signature(_KEY, "info", title, text, difference, _PAGE)
    if low > 0:
        title = "Training on this draw was worse than on random rows"
        return Signature(_KEY, "warn", title, text, difference, _PAGE)
    if high < 0:
        title = "Training on this draw was better than on random rows"
        return Signature(_KEY, "good", title, text, difference, _PAGE)
    text += f" A difference of less than {plain(max(-low, high))} nats would not show."
    title = "Training on this draw was no clearly better or worse than on random rows"
    return Signature(_KEY, "info", title, text, difference, _PAGE)


def _newest(folder: Path) -> tuple[ExperimentRecord, pd.Series] | None:
    """The newest study with a line for the soft draw on all held-out samples, and that line."""
    studies = []
    for path in folder.glob("training*.json"):
        record = read_or_none(ExperimentRecord, path)
        if record is None:
            continue
        try:
            table = pd.read_parquet(path.with_suffix(".parquet"))
            rows = table[(table["arm"] == SOFT) & (table["measure"] == "loss") & table["whole"]]
            rows = rows.dropna(subset=["difference", "low", "high"])
        except (OSError, ValueError, KeyError):
            continue
        if len(rows):
            studies.append((record, rows.iloc[0]))
    return max(studies, key=lambda pair: pair[0].finished or "") if studies else None
