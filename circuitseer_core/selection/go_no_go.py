"""One sentence a draw: is it anything but length and any heads, and was training on it better?

``go`` needs all three: distinguishable from length-matched random rows, from what random heads of
the same layers would draw, and better to train on than the reference arm (a uniform draw of the
same budget). ``no-go``: one of them was looked for and not found. ``open``: the rest, mostly
because nobody has trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow.parquet as pq

from circuitseer_core import limits
from circuitseer_core.aliases import Floats
from circuitseer_core.errors import UserError
from circuitseer_core.runs.columns import control_columns
from circuitseer_core.runs.experiment_records import ExperimentRecord, Outcome, draw_of
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import read_or_none
from circuitseer_core.runs.selection_records import Distinctness, Rival, SelectionRecord
from circuitseer_core.selection.distinct import distinctness
from circuitseer_core.selection.draw import Drawing
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.wording import percent, signed

Decision = Literal["go", "no-go", "open"]


@dataclass(frozen=True, slots=True)
class GoNoGo:
    """The answer for one selection, and why: the rest of a sentence that begins with it."""

    decision: Decision
    why: str

    @property
    def sentence(self) -> str:
        """The decision's word, and why."""
        return f"{self.decision.capitalize()}: {self.why}"

    @property
    def reason(self) -> str:
        """Why, as a sentence of its own, for where the decision stands beside it."""
        return self.why[:1].upper() + self.why[1:]


def measured(run: Run, settings: SelectionSettings, drawing: Drawing) -> Distinctness | None:
    """Tell a draw of a run from its rivals; None where soft draws of random heads are not defined.

    Reads the columns of the random heads' scores beside the draw's own.
    """
    have = pq.read_schema(run.score_parts(settings.scores)[0]).names
    names = control_columns(settings.scorer, have)
    controls: list[Floats] = []
    if names:
        frame = run.scores(settings.scores, names)
        controls = [
            frame[name].to_numpy(dtype=np.float64, na_value=np.nan)[drawing.where] for name in names
        ]
        if settings.lowest:
            controls = [np.nanmax(c) + np.nanmin(c) - c for c in controls]
    try:
        return distinctness(drawing, controls, by_length=settings.length_control == "within-bins")
    except UserError:  # a control score below 0, or a budget that a part cannot meet
        return None


def training_outcome(run: Run, selection: SelectionRecord) -> Outcome | None:
    """What the newest training study of such a draw found; None without one.

    Such a draw: by the same scores, scorer and temperature, and as plain as an arm.
    """
    draw = draw_of(selection)
    records = [
        record
        for path in sorted((run.path / "experiments").glob("training*.json"))
        if (record := read_or_none(ExperimentRecord, path)) is not None
    ]
    judged = [r for r in records if r.outcome is not None and r.tells_of(draw)]
    return max(judged, key=lambda record: record.finished or "").outcome if judged else None


def go_no_go(run: Run, selection: SelectionRecord) -> GoNoGo:
    """The decision about one selection of a run, from what was measured when it was drawn."""
    rivals = selection.distinct
    training = training_outcome(run, selection)
    if rivals is None:
        text = "this selection was drawn before rivals were measured; draw it again to know"
        return GoNoGo("open", f"{text}; {_training(training)}.")
    distinct = [rivals.length, rivals.heads]
    are_distinct = [
        rival is not None and limits.distinct(rival.gap, rival.low) for rival in distinct
    ]
    refused = training is not None and training.state == "no evidence"
    decision: Decision = "open"
    if refused or not are_distinct[0] or (rivals.heads is not None and not are_distinct[1]):
        decision = "no-go"
    elif all(are_distinct) and training is not None and training.state == "found":
        decision = "go"
    length = _rival(rivals.length, "a length-matched random one")
    heads = _rival(rivals.heads, "what random heads of the same layers would draw")
    return GoNoGo(decision, f"this draw is {length}, and {heads}; {_training(training)}.")


def _rival(rival: Rival | None, name: str) -> str:
    """ "distinguishable from NAME (…)"."""
    if rival is None:
        return f"not compared with {name} (there are no random-head scores)"
    interval = (
        f"a second draw shares {percent(rival.own, 1)} of its rows, the other "
        f"{percent(rival.other, 1)}; gap {_points(rival.gap)}, 95 % interval "
        f"{_points(rival.low)} to {_points(rival.high)} points"
    )
    if not limits.distinct(rival.gap, rival.low):
        return f"not distinguishable from {name} ({interval})"
    return f"distinguishable from {name} ({interval}; {_in_what(rival)})"


def _in_what(rival: Rival) -> str:
    parts = []
    if rival.lift is not None:
        side = "higher" if rival.lift >= 0 else "lower"
        parts.append(f"mean score {percent(abs(rival.lift), 1)} {side}")
    parts.append(f"{percent(rival.sources_moved, 1)} of the rows from other sources")
    return ", ".join(parts)


def _points(share: float) -> str:
    return signed(100 * share, 1)


def _training(outcome: Outcome | None) -> str:
    if outcome is None:
        return "whether training on it is better is unknown (no training study of such a draw)"
    word = {
        "found": "training on it was better than on the reference arm",
        "no evidence": "no evidence that training on it is better than on the reference arm",
        "inconclusive": "the training study leaves open whether training on it is better",
    }[outcome.state]
    values = (outcome.estimate, outcome.low, outcome.high)
    if None in values:
        return word
    estimate, low, high = (signed(value or 0.0, 4) for value in values)
    return f"{word} ({outcome.measure.rstrip(',')} {estimate}, 95 % interval {low} to {high})"
