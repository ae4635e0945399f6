"""Which training studies of a run speak of a selection: of such a draw, from this run, by uniform.

Names alone do not make a draw the same: *default* and *variance* stand in every run. A study speaks
of a run's draws where the run holds the soft arms that it trained on, by the hash of their ids, or
held them when the study was judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from circuitseer_core.hashing import short_hash
from circuitseer_core.runs.experiment_records import ExperimentRecord
from circuitseer_core.runs.experiments import saved_results
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import read_or_none
from circuitseer_core.runs.selection_records import SelectionRecord

SOFT, UNIFORM = "soft", "uniform"
"""The arm of a study that is the draw on trial, and that of rows drawn without any score."""


def kind_of_draw(
    scores: str, scorer: str, temperature: float, length_control: str = "none"
) -> dict[str, Any]:
    """What a training study and a selection have in common where they are of one kind of draw.

    Length control is named where there is any: studies of before it could be do not name it.
    """
    control = {} if length_control == "none" else {"length_control": length_control}
    return {"scores": scores, "scorer": scorer, "temperature": f"{float(temperature):g}"} | control


def draw_of(selection: SelectionRecord) -> dict[str, Any]:
    """The kind of draw that a selection is; with anything beyond the four, one of its own."""
    settings = selection.settings.to_json()
    beyond = {
        name: value
        for name, plain in (("stratify", "none"), ("lowest", False))
        if (value := settings.get(name, plain)) != plain
    }
    if lengths := settings.get("match_lengths"):
        beyond["match_lengths"] = lengths
    by = selection.settings
    temperature, control = selection.temperature, by.length_control
    return kind_of_draw(selection.scores, by.scorer, temperature, control) | beyond


def studies_of(run: Run, selection: SelectionRecord) -> list[ExperimentRecord]:
    """The training studies of such a draw against a uniform one, newest first.

    Such a draw: by the same scores, scorer, temperature and length control, and else as plain as
    an arm; of whatever budget. Studies of before the draw was kept do not say, and are taken to be
    of it.
    """
    draw = draw_of(selection)
    records = [
        record
        for record in saved_results(run, "training*")
        if record.numbers.get("reference") == UNIFORM
        and record.numbers.get("draw") in (None, draw)
        and _of_this_run(run, record)
    ]
    return sorted(records, key=lambda record: record.finished or "", reverse=True)


def _of_this_run(run: Run, study: ExperimentRecord) -> bool:
    if study.numbers.get("run") == run_name(run):
        return True
    return holds_arms(run, soft_arms(study))


def run_name(run: Run) -> str:
    """A hash of where a run lies, as a study keeps it that was of this run's own arms."""
    return short_hash(str(run.path.resolve()))


def holds_arms(run: Run, arms: Iterable[dict[str, Any]]) -> bool:
    """Whether one of these arms is a selection of the run with the same ids."""
    names = set(run.selections())
    for arm in arms:
        name, ids_hash = str(arm.get("selection")), arm.get("sha256")
        if ids_hash is None or name not in names:
            continue
        kept = read_or_none(SelectionRecord, run.selection_dir(name) / "selection.json")
        if kept is not None and kept.ids_hash == ids_hash:
            return True
    return False


def soft_arms(study: ExperimentRecord) -> list[dict[str, Any]]:
    """The soft draws that a study's arms held, as arms.json has them."""
    arms = study.numbers.get("arms")
    known = arms if isinstance(arms, list) else []
    return [arm for arm in known if isinstance(arm, dict) and arm.get("kind") == SOFT]
