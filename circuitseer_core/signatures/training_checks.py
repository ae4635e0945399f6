"""Worse than random: what training studies of the run say of its draw, where there are any."""

from __future__ import annotations

import pandas as pd

from circuitseer_core import limits
from circuitseer_core.runs.experiments import saved_table
from circuitseer_core.runs.training_records import SOFT, UNIFORM, studies_of
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.wording import count, plain, signed

_KEY, _PAGE = "worse-than-random", "evidence"


def worse_than_random(facts: Evidence) -> Signature | None:
    """Held-out loss after the soft draw above that after a uniform one, beyond the interval.

    Where the study compared several arms, the corrected chance has to agree. Unknown without a
    study of such a draw (scores, scorer, temperature); None without a selection, of which there
    would be nothing to know.
    """
    if facts.selection is None:
        return None
    row = _newest(facts)
    if row is None:
        text = (
            "No model was trained on such a draw (0 training studies of it in this run), so "
            "whether it is better than random rows, or worse, is unknown."
        )
        return Signature(
            _KEY, "info", "Whether it trains better than random is unknown", text, None, _PAGE
        )
    difference, low, high = (float(row[name]) for name in ("difference", "low", "high"))
    corrected = float(row.get("p_holm", float("nan")))
    holm = "" if pd.isna(corrected) else f"; p = {plain(corrected)} after Holm's correction"
    text = (
        f"After training on the soft draw the held-out loss is {signed(difference, 4)} nats from "
        f"that after {UNIFORM} (95 % interval {signed(low, 4)} to {signed(high, 4)}, "
        f"{count(int(row['seeds']), 'seed')}, {count(int(row['items']), 'held-out sample')}{holm})."
    )
    if int(row["seeds"]) == 1:
        text += " One seed: that is of two models, and tells nothing of the draws."
        title = "One training seed does not tell whether it trains better than on random rows"
        return Signature(_KEY, "info", title, text, difference, _PAGE)
    clear = pd.isna(corrected) or corrected < limits.CHANCE
    if low > 0 and clear:
        title = "Training on such a draw was worse than on random rows"
        return Signature(_KEY, "warn", title, text, difference, _PAGE)
    if high < 0 and clear:
        title = "Training on such a draw was better than on random rows"
        return Signature(_KEY, "good", title, text, difference, _PAGE)
    text += f" A difference of less than {plain(max(-low, high))} nats would not show."
    title = "Training on such a draw was no clearly better or worse than on random rows"
    return Signature(_KEY, "info", title, text, difference, _PAGE)


def _newest(facts: Evidence) -> pd.Series | None:
    """Of the newest study of such a draw as the selection's, the line for the soft draw on all
    held-out samples."""
    assert facts.selection is not None
    for record in studies_of(facts.run, facts.selection):
        table = saved_table(facts.run, record)  # empty where it is damaged or another's
        try:
            rows = table[(table["arm"] == SOFT) & (table["measure"] == "loss") & table["whole"]]
            rows = rows.dropna(subset=["difference", "low", "high"])
        except (OSError, ValueError, KeyError):
            continue
        if len(rows):
            return rows.iloc[0]
    return None
