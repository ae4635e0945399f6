"""What is kept of an experiment: RUN/experiments/NAME.json, beside its table NAME.parquet.

The record carries what the verdict says once more for programs (:class:`Outcome`), and how the
table is drawn (:class:`Plot`), so that a result of years ago still has its figures.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

from pydantic import Field, JsonValue

from circuitseer_core.runs.records import Record
from circuitseer_core.wording import digits_beside, p_value, percent, signed

EXPERIMENT_FORMAT = 1
State = Literal["found", "no evidence", "inconclusive"]
HOLM = "Holm"
PlotKind = Literal["intervals", "lines", "bars", "points", "matrix"]


class Outcome(Record):
    """The answer of an experiment to its question, with the number that it rests on.

    Attributes:
        state: ``found``: the interval lies beyond ``null``; ``no evidence``: it does not, though it
            is narrow enough to have shown an effect of the size that matters; ``inconclusive``: it
            is wider than that, or nothing could be measured.
        measure: what the estimate is, in words ("Spearman with worked steps at fixed length").
        estimate, low, high: of the measure; None where it could not be measured.
        null: the value that no effect would give.
        level: of the interval, before any correction.
        comparisons: how many comparisons were made together for this answer.
        correction: the name of what makes up for their number, where there is more than one:
            Bonferroni's widens the interval; Holm's leaves it that of one comparison, and corrects
            the chance that the answer asks for too.
        p: chance of the null, so corrected, where it is of the same estimate.
    """

    state: State
    measure: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    null: float = 0.0
    level: float = 0.95
    comparisons: int = 1
    correction: str | None = None
    p: float | None = None

    @classmethod
    def judge(
        cls,
        measure: str,
        estimate: float,
        low: float,
        high: float,
        *,
        relevant: float,
        null: float = 0.0,
        side: Literal["above", "either"] = "above",
        **more: Any,
    ) -> Outcome:
        """The outcome of an estimate with its interval.

        Args:
            measure: what is estimated.
            estimate: its value, with the interval from ``low`` to ``high``; NaN: not measured.
            relevant: the distance from ``null`` that would matter. An interval that includes the
                null and whose half width exceeds this distance is inconclusive.
            null: the value of no effect.
            side: whether only an interval above the null counts, or one on either side.
            more: further fields.
        """
        known = all(math.isfinite(value) for value in (estimate, low, high))
        state: State = "inconclusive"
        if known and (low > null or (side == "either" and high < null)):
            state = "found"
        elif known and ((high - low) / 2 <= relevant or high < null):
            state = "no evidence"
        values = {"estimate": estimate, "low": low, "high": high} if known else {}
        return cls(state=state, measure=measure, null=null, **values, **more)

    def sentence(self, *, shares: bool = False) -> str:
        """ "Found: MEASURE +0.30 (95 % interval +0.21 to +0.39)"; ``shares``: as percentages."""
        return f"{self.state.capitalize()}: {self.measured(shares=shares)}"

    def measured(self, *, shares: bool = False) -> str:
        """The same without the answer's word, for where that stands beside it."""
        if self.estimate is None or self.low is None or self.high is None:
            return f"{self.measure} could not be measured."
        ends = (self.estimate, self.low, self.high)
        places = 0 if shares else digits_beside(ends, self.null)
        say = partial(percent if shares else signed, digits=places)
        values = f"{say(self.low)} to {say(self.high)}"
        return f"{self.measure} {say(self.estimate)} ({self.interval(values)})."

    def interval(self, values: str) -> str:
        """ "95 % interval VALUES", with what makes up for several comparisons and of what it is."""
        level = percent(self.level)
        if not self.correction or self.comparisons < 2:
            return f"{level} interval {values}"
        if self.correction != HOLM:
            return (
                f"{level} interval {values}, {self.correction} over {self.comparisons} comparisons"
            )
        plain = f"{level} interval of this one comparison {values}"
        if self.p is None:
            return f"{plain}, before {HOLM}'s correction for {self.comparisons}"
        return f"{plain}; {p_value(self.p)} after {HOLM}'s correction for {self.comparisons}"


class Plot(Record):
    """How an experiment's table is drawn: which columns, on which rows.

    Attributes:
        kind: ``intervals``: a row of the figure per ``label``, ``x`` with its interval ``low`` to
            ``high``; ``lines``: ``y`` over ``x`` with a band; ``bars``: ``x`` per ``label``;
            ``points``: ``y`` against ``x``; ``matrix``: ``value`` by ``y`` (rows) and ``x``.
        caption: what is seen, in a sentence; also the text for those who cannot see it.
        x, y, low, high, label, value: columns.
        group: the column that tells colours or lines apart.
        where: only rows with these values in these columns.
        x_title, y_title: of the axes.
        references: named lines at these values of the measure's axis (no effect, a floor).
        shares: the values are shares from 0 to 1, shown as percentages.
    """

    kind: PlotKind
    caption: str
    x: str | None = None
    y: str | None = None
    low: str | None = None
    high: str | None = None
    label: str | None = None
    value: str | None = None
    group: str | None = None
    where: dict[str, JsonValue] = Field(default_factory=dict)
    x_title: str = ""
    y_title: str = ""
    references: dict[str, float] = Field(default_factory=dict)
    shares: bool = False


class ExperimentRecord(Record):
    """NAME.json of one experiment.

    ``name``: of the result, the experiment's with what tells it from its other results;
    ``experiment``: whose result it is (None in results of before they had names of their own).
    ``numbers`` and ``options`` are each experiment's own. ``seconds``: what it took, from which the
    next time is estimated. ``outcome`` is None, and ``plots`` empty, in results of before they were
    kept. ``table_sha256``: of the table that this record speaks of (None in results of before).
    """

    latest_format = EXPERIMENT_FORMAT
    format: int | None = None
    name: str
    experiment: str | None = None
    title: str
    verdict: str
    numbers: dict[str, JsonValue] = Field(default_factory=dict)
    options: dict[str, JsonValue] = Field(default_factory=dict)
    finished: str | None = None
    seconds: float | None = None
    outcome: Outcome | None = None
    plots: list[Plot] = Field(default_factory=list)
    table_sha256: str | None = None

    @property
    def of(self) -> str:
        """The name of the experiment; only training had results of other names before."""
        return self.experiment or ("training" if self.name.startswith("training") else self.name)
