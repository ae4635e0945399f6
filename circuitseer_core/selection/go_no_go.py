"""One sentence a draw: is it anything but length and any heads, and was training on it better?

``go`` needs all three: distinguishable from length-matched random rows, from what random heads of
the same layers would draw, and better to train on than a uniform draw of the same budget.
``no-go``: one of them was looked for and is not there: the whole interval of a gap lies below one
point, or training was no better. ``open``: the rest: an interval that reaches both sides of a
point, what was not measured, and mostly that nobody has trained.
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
from circuitseer_core.runs.experiment_records import ExperimentRecord
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.selection_records import Distinctness, Rival, SelectionRecord
from circuitseer_core.runs.training_records import soft_arms, studies_of
from circuitseer_core.selection.distinct import distinctness
from circuitseer_core.selection.draw import Drawing
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.wording import count, percent, signed

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


def measured(
    run: Run, settings: SelectionSettings, drawing: Drawing
) -> tuple[Distinctness | None, str | None]:
    """Tell a draw of a run from its rivals; None, and why, where rivals cannot be drawn.

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
    by_length = settings.length_control == "within-bins"
    try:
        return distinctness(drawing, controls, by_length=by_length), None
    except UserError as error:  # a control score below 0, or a budget that a part cannot meet
        why = str(error)
    if controls:
        try:
            of_length = distinctness(drawing, [], by_length=by_length)
            return of_length.model_copy(update={"heads_unknown": why}), None
        except UserError as error:
            why = str(error)
    return None, why


def go_no_go(run: Run, selection: SelectionRecord) -> GoNoGo:
    """The decision about one selection of a run, from what was measured when it was drawn."""
    rivals = selection.distinct
    study = next((s for s in studies_of(run, selection) if s.outcome is not None), None)
    training = _training(study, selection)
    if rivals is None:
        text = "this selection was drawn before rivals were measured; draw it again to know"
        if why := selection.distinct_unknown:
            text = f"no rivals of this draw could be drawn to compare it with ({why})"
        return GoNoGo("open", f"{text}; {training}.")
    apart = [
        "open" if rival is None else limits.told_apart(rival.gap, rival.low, rival.high)
        for rival in (rivals.length, rivals.heads)
    ]
    trained = study.outcome.state if study is not None and study.outcome is not None else None
    decision: Decision = "open"
    if trained == "no evidence" or "no" in apart:
        decision = "no-go"
    elif apart == ["yes", "yes"] and trained == "found":
        decision = "go"
    length = _rival(rivals.length, "a length-matched random one")
    why = rivals.heads_unknown or "there are no random-head scores"
    heads = _rival(rivals.heads, "what random heads of the same layers would draw", why)
    return GoNoGo(decision, f"this draw {length}, and {heads}; {training}.")


def _rival(rival: Rival | None, name: str, unknown: str = "") -> str:
    """ "is distinguishable from NAME (…)", after the words "this draw"."""
    if rival is None:
        return f"was not compared with {name} ({unknown})"
    interval = (
        f"a second draw shares {percent(rival.own, 1)} of its rows, the other "
        f"{percent(rival.other, 1)}; gap {_points(rival.gap)}, 95 % interval "
        f"{_points(rival.low)} to {_points(rival.high)} points"
    )
    apart = limits.told_apart(rival.gap, rival.low, rival.high)
    if apart == "yes":
        return f"is distinguishable from {name} ({interval}; {_in_what(rival)})"
    if apart == "no":
        less = "differs by less than a point" if rival.low > 0 else "is not distinguishable"
        return f"{less} from {name} ({interval})"
    if rival.low > 0:
        return f"differs from {name}, but whether by a point is open ({interval})"
    return f"may or may not be distinguishable from {name} ({interval})"


def _in_what(rival: Rival) -> str:
    parts = []
    if rival.lift is not None:
        side = "higher" if rival.lift >= 0 else "lower"
        parts.append(f"mean score {percent(abs(rival.lift), 1)} {side}")
    parts.append(f"{percent(rival.sources_moved, 1)} of the rows from other sources")
    return ", ".join(parts)


def _points(share: float) -> str:
    return signed(100 * share, 1)


def _training(study: ExperimentRecord | None, selection: SelectionRecord) -> str:
    """What the newest study of such a draw says, and of how large draws it was."""
    if study is None or study.outcome is None:
        return "whether training on it is better is unknown (no training study of such a draw)"
    outcome = study.outcome
    word = {
        "found": "training on such a draw was better than on a uniform one",
        "no evidence": "no evidence that training on such a draw is better than on a uniform one",
        "inconclusive": "the training study leaves open whether training on such a draw is better",
    }[outcome.state]
    parts = []
    values = (outcome.estimate, outcome.low, outcome.high)
    if None not in values:
        estimate, low, high = (signed(value or 0.0, 4) for value in values)
        interval = outcome.interval(f"{low} to {high}")
        parts.append(f"{outcome.measure.rstrip(',')} {estimate}, {interval}")
    if sizes := [int(arm.get("rows") or 0) for arm in soft_arms(study)]:
        rows = round(sum(sizes) / len(sizes))
        parts.append(f"draws of {count(rows, 'row')}, this one has {selection.counts.selected:,}")
    return f"{word} ({'; '.join(parts)})" if parts else word
