"""Is a run the one that a manifest speaks of? Paths count by what a pushed copy keeps of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from circuitseer_core.export.public import without_paths
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import AnyRecord, ModelRecord
from circuitseer_core.runs.selection_records import SelectionRecord
from circuitseer_core.selection.settings import SelectionSettings


def other_model(then: ModelRecord | None, now: ModelRecord | None) -> list[str]:
    """How the run's model differs, a line each.

    A model is its weights and its tokenizer, wherever it lies: its name and revision count only
    where the weights' hash is not known.
    """
    hashed = bool(then and now and then.weights_hash and now.weights_hash)
    keys = ("tokenizer_hash", "weights_hash") + (() if hashed else ("id", "revision"))
    lines = []
    for key in keys:
        was, is_ = getattr(then, key, None), getattr(now, key, None)
        if without_paths(was) != without_paths(is_):
            lines.append(f"the run's model has {key} {is_}, not {was}")
    return lines


def other_settings(then: SelectionRecord, now: SelectionRecord) -> list[str]:
    """How the settings of the run's selection differ from those of the manifest's, a line each."""
    exported = then.settings.to_json()
    return [
        f"the {key.replace('_', ' ')} is {exported.get(key)} in the manifest, {value} in the run"
        for key, value in now.settings.to_json().items()
        if without_paths(exported.get(key)) != without_paths(value)
    ]


def settings_of(run: Run, selection: SelectionRecord) -> SelectionSettings:
    """The settings of an exported selection; with whole paths where the run still has it."""
    if selection.name in run.selections():
        stored = run.selection(selection.name)
        if stored.created == selection.created and not other_settings(selection, stored):
            return SelectionSettings.of(**stored.settings.to_json())
    return SelectionSettings.of(**selection.settings.to_json())


def first_other(now: Sequence[AnyRecord], then: Sequence[AnyRecord]) -> AnyRecord | None:
    """The first record that is not in both lists at one place; folders of files count not."""
    for new, old in zip_longest(now, then):
        if new is None or old is None:  # an edited manifest may name fewer
            return new or old
        if without_paths(new.to_json()) != without_paths(old.to_json()):
            return new
    return None
