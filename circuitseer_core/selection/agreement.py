"""How often a person and a score prefer the same sample of a pair, and what chance would give.

A pair is decided where the person named one of the two and the scores differ. Chance prefers the
person's sample in half of the pairs; the interval is Wilson's (1927), the p value that of an exact
two-sided binomial test against one half.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from circuitseer_core.correlation import over_draws
from circuitseer_core.runs.review_records import BANDS, ReviewBatch
from circuitseer_core.selection.review import DECIDED, ReviewState

FAR = 50.0
"""Percentile points from which the two scores of a pair count as far apart."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """``agreed`` of ``decided`` pairs; the others are ties (by eye or by score) or skipped."""

    agreed: int
    decided: int
    ties: int = 0
    skipped: int = 0

    @property
    def rate(self) -> float:
        """The share that agrees; NaN where nothing was decided."""
        return self.agreed / self.decided if self.decided else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, after Wilson; (0, 1) where nothing was decided."""
        return wilson(self.agreed, self.decided)

    @property
    def chance(self) -> float:
        """How often coins would be as far from one half; 1 where nothing was decided."""
        if not self.decided:
            return 1.0
        from scipy.stats import binomtest  # seconds of imports, for pages that show no batch

        return float(binomtest(self.agreed, self.decided, 0.5).pvalue)


@dataclass(frozen=True, slots=True)
class MeanAgreement:
    """Agreement with each of several draws of random heads that decide any pair, and their mean."""

    draws: tuple[Agreement, ...]

    @property
    def rate(self) -> float:
        """The mean over the draws; NaN where there are none."""
        rates = [draw.rate for draw in self.draws]
        return float(np.mean(rates)) if rates else float("nan")

    @property
    def decided(self) -> int:
        """Pairs that a draw decides, on average."""
        return round(float(np.mean([draw.decided for draw in self.draws]))) if self.draws else 0

    @property
    def agreed(self) -> int:
        """Of these, those that agree."""
        return round(self.rate * self.decided) if self.draws else 0

    @property
    def ties(self) -> int:
        """Pairs that a draw does not decide, on average."""
        return round(float(np.mean([draw.ties for draw in self.draws]))) if self.draws else 0

    @property
    def interval(self) -> tuple[float, float]:
        """95 %: Wilson's over so many pairs, and Student's t over the draws, added in squares."""
        if not self.draws:
            return 0.0, 1.0
        low, high = wilson(self.agreed, self.decided)
        ends = over_draws([draw.rate for draw in self.draws], (-math.inf, math.inf))
        of_draws = 0.0 if ends is None else (ends[1] - ends[0]) / 2
        below, above = (float(np.hypot(self.rate - low, of_draws)),
                        float(np.hypot(high - self.rate, of_draws)))  # fmt: skip
        return max(0.0, self.rate - below), min(1.0, self.rate + above)


def mean_agreement(each: Iterable[Agreement]) -> MeanAgreement:
    """Of the draws that decide any pair."""
    return MeanAgreement(tuple(draw for draw in each if draw.decided))


def agreement(verdicts: pd.DataFrame) -> Agreement:
    """Of verdicts with ``choice``, ``left_score`` and ``right_score``; NaN scores are ties."""
    gap = verdicts["left_score"].astype(float) - verdicts["right_score"].astype(float)
    judged = verdicts["choice"].isin(DECIDED)
    decided = judged & (gap != 0) & gap.notna()
    agrees = (gap > 0) == (verdicts["choice"] == "left")
    skipped = int((verdicts["choice"] == "skip").sum())
    n = int(decided.sum())
    return Agreement(int((agrees & decided).sum()), n, len(verdicts) - n - skipped, skipped)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion; (0, 1) where nothing was seen."""
    if n == 0:
        return 0.0, 1.0
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def batch_table(batch: ReviewBatch, state: ReviewState) -> pd.DataFrame:
    """One line a pair: what it was, what was chosen, and whether the score says the same.

    ``choice`` is empty for a pair that was not judged; ``agrees`` is None where nothing was
    decided.
    """
    chosen = state.of_batch(batch)
    lines = []
    for number, pair in enumerate(batch.pairs):
        left, right = pair.scores
        choice = chosen.get(number, "")
        decided = choice in DECIDED and left != right
        lines.append(
            {
                "pair": number + 1,
                "left": pair.left,
                "right": pair.right,
                "source": pair.source,
                "length": pair.band,
                "left_tokens": pair.tokens[0],
                "right_tokens": pair.tokens[1],
                "left_score": left,
                "right_score": right,
                "gap": round(abs(pair.percentiles[0] - pair.percentiles[1]), 3),
                "choice": choice,
                "agrees": (left > right) == (choice == "left") if decided else None,
            }
        )
    return pd.DataFrame(lines)


def by_stratum(table: pd.DataFrame) -> list[tuple[str, str, Agreement]]:
    """(kind, stratum, agreement) of a batch's judged pairs: by source, length and gap.

    A kind with a single stratum is left out: it would repeat the whole.
    """
    judged = table[table["choice"] != ""]
    far = np.where(judged["gap"] >= FAR, f"{FAR:g} points and more", f"under {FAR:g} points")
    kinds: dict[str, Any] = {
        "source": judged["source"],
        "length": pd.Categorical(judged["length"], BANDS),
        "gap": pd.Series(far, index=judged.index, dtype=object),
    }
    return [
        (kind, str(name), agreement(part))
        for kind, values in kinds.items()
        if len(set(values)) > 1
        for name, part in judged.groupby(values, observed=True)
    ]


def beside(
    table: pd.DataFrame, scorers: list[str], score_of: Callable[[str, str], float]
) -> dict[str, Agreement]:
    """The same verdicts against other scores; ``score_of(id, scorer)`` may be NaN."""
    judged = table[table["choice"] != ""]
    agreements = {}
    for scorer in scorers:
        left, right = ([score_of(i, scorer) for i in judged[side]] for side in ("left", "right"))
        agreements[scorer] = agreement(judged.assign(left_score=left, right_score=right))
    return agreements


def to_json(batch: ReviewBatch, state: ReviewState, names: Mapping[str, str]) -> str:
    """A batch with its settings, its agreement and every pair; ``names`` go in as they are."""
    table = batch_table(batch, state)
    whole = agreement(table[table["choice"] != ""])
    low, high = whole.interval
    pairs = table.astype(object).where(table.notna(), None).to_dict("records")
    document: dict[str, Any] = {
        **names,
        "batch": batch.batch,
        "started": batch.time,
        "scorer": batch.scorer,
        "scoring": batch.scoring,
        "options": batch.options.model_dump(mode="json"),
        "agreement": {
            "pairs": len(table),
            "judged": int((table["choice"] != "").sum()),
            "decided": whole.decided,
            "agreed": whole.agreed,
            "ties": whole.ties,
            "skipped": whole.skipped,
            "rate": whole.rate if whole.decided else None,
            "wilson_95": [low, high],
            "chance": 0.5,
            "binomial_p": whole.chance,
        },
        "pairs": pairs,
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
