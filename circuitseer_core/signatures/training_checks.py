"""Worse than random: what training studies of the run say of its draw, where there are any."""

from __future__ import annotations

import pandas as pd

from circuitseer_core import limits
from circuitseer_core.runs.experiment_records import ExperimentRecord, draw_of
from circuitseer_core.runs.records import read_or_none
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.wording import count, plain, signed

_KEY, _PAGE = "worse-than-random", "evidence"
UNIFORM = "uniform"
"""The arm of rows drawn without any score."""
SOFT = "soft"
"""The arm of a training study that is the soft draw."""


def worse_than_random(facts: Evidence) -> Signature | None:
    """Held-out loss after the soft draw above that after the reference arm, beyond the interval.

    Where the study compared several arms, the corrected chance has to agree. Unknown without a
    study of such a draw (scores, scorer, temperature); None without a selection, of which there
    would be nothing to know.
    """
    if facts.selection is None:
        return None
    study = _newest(facts)
    if study is None:
        text = (
            "No model was trained on such a draw (0 training studies of it in this run), so "
            "whether it is better than random rows, or worse, is unknown."
        )
        return Signature(
            _KEY, "info", "Whether it trains better than random is unknown", text, None, _PAGE
        )
    record, row = study
    reference = str(record.numbers.get("reference", "the reference arm"))
    than = "on random rows" if reference == UNIFORM else f"on the arm {reference}"
    difference, low, high = (float(row[name]) for name in ("difference", "low", "high"))
    corrected = float(row.get("p_holm", float("nan")))
    holm = "" if pd.isna(corrected) else f"; p = {plain(corrected)} after Holm's correction"
    text = (
        f"After training on the soft draw the held-out loss is {signed(difference, 4)} nats from "
        f"that after {reference} (95 % interval {signed(low, 4)} to {signed(high, 4)}, "
        f"{count(int(row['seeds']), 'seed')}, {count(int(row['items']), 'held-out sample')}{holm})."
    )
    if int(row["seeds"]) == 1:
        text += " One seed: that is of two models, and tells nothing of the draws."
        title = f"One training seed does not tell whether it trains better than {than}"
        return Signature(_KEY, "info", title, text, difference, _PAGE)
    clear = pd.isna(corrected) or corrected < limits.CHANCE
    if low > 0 and clear:
        title = f"Training on such a draw was worse than {than}"
        return Signature(_KEY, "warn", title, text, difference, _PAGE)
    if high < 0 and clear:
        title = f"Training on such a draw was better than {than}"
        return Signature(_KEY, "good", title, text, difference, _PAGE)
    text += f" A difference of less than {plain(max(-low, high))} nats would not show."
    title = f"Training on such a draw was no clearly better or worse than {than}"
    return Signature(_KEY, "info", title, text, difference, _PAGE)


def _newest(facts: Evidence) -> tuple[ExperimentRecord, pd.Series] | None:
    """The newest study of such a draw as the selection's with a line for the soft draw on all
    held-out samples, and that line."""
    assert facts.selection is not None
    draw = draw_of(facts.selection)
    studies = []
    for path in (facts.run.path / "experiments").glob("training*.json"):
        record = read_or_none(ExperimentRecord, path)
        if record is None or not record.tells_of(draw):
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
