"""What is kept of an experiment: RUN/experiments/NAME.json, beside its table NAME.parquet.

The record carries what the verdict says once more for programs (:class:`Outcome`), and how the
table is drawn (:class:`Plot`), so that a result of years ago still has its figures.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, JsonValue

from circuitseer_core.runs.records import Record
from circuitseer_core.runs.selection_records import SelectionRecord
from circuitseer_core.wording import percent, signed

State = Literal["found", "no evidence", "inconclusive"]
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
        correction: the name of what makes up for their number, where there is more than one.
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
        say = percent if shares else signed
        interval = f"{percent(self.level)} interval {say(self.low)} to {say(self.high)}"
        if self.correction and self.comparisons > 1:
            interval += f", {self.correction} over {self.comparisons} comparisons"
        return f"{self.measure} {say(self.estimate)} ({interval})."


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
    kept.
    """

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

    @property
    def of(self) -> str:
        """The name of the experiment; only training had results of other names before."""
        return self.experiment or ("training" if self.name.startswith("training") else self.name)

    def tells_of(self, draw: dict[str, Any]) -> bool:
        """Whether a training study is about a draw like this: scores, scorer and temperature.

        Studies of before that was kept do not say, and are taken to be.
        """
        return self.numbers.get("draw") in (None, draw)


def kind_of_draw(scores: str, scorer: str, temperature: float) -> dict[str, Any]:
    """What a training study and a selection have in common where they are of one kind of draw."""
    return {"scores": scores, "scorer": scorer, "temperature": f"{float(temperature):g}"}


def draw_of(selection: SelectionRecord) -> dict[str, Any]:
    """The kind of draw that a selection is; with anything beyond the three, one of its own."""
    settings = selection.settings.to_json()
    beyond = {
        name: value
        for name, plain in (("length_control", "none"), ("stratify", "none"), ("lowest", False))
        if (value := settings.get(name, plain)) != plain
    }
    if lengths := settings.get("match_lengths"):
        beyond["match_lengths"] = lengths
    drawn_by = selection.settings
    return kind_of_draw(selection.scores, drawn_by.scorer, selection.temperature) | beyond
