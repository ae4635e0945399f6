"""calibration.json as a typed record: what was fitted to what, how it was judged, and the weights.

Correlations are partial rank correlations at fixed length unless they say otherwise; intervals are
95 %. Weights are given per unit of a reading, so that a row's prediction needs nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from circuitseer_core.aliases import Head
from circuitseer_core.errors import UserError
from circuitseer_core.runs.records import DataRecord, ModelRecord, Record

CALIBRATION_FORMAT = 1


class CalibrationOptions(Record):
    """Of the settings of a calibration those that other packages read."""

    name: str = "default"
    scores: str = "default"
    target: str = ""
    heads_at_most: int | None = None
    within_sources: bool = False
    folds: int = 10
    seed: int = 0


class TargetRecord(Record):
    """The measure that was fitted: its values on ``rows`` samples, or ``pairs`` of them.

    ``levels``: the words of an ordinal target, lowest first; ``unread``: rows whose value says
    nothing; ``sha256``: over ids and values.
    """

    name: str
    kind: str
    rows: int
    pairs: int | None = None
    levels: list[str] = Field(default_factory=list)
    unread: int = 0
    sources: dict[str, int] = Field(default_factory=dict)
    length_correlation: float | None = None
    sha256: str


class Estimate(Record):
    """One line of the comparison.

    ``judged``: ``pooled`` (all rows, random folds), ``within`` (the same predictions, ranks within
    their source), ``own`` (one source alone, in ``source``), ``other`` (that source, fitted on the
    others) or ``pairs`` (share of pairs decided rightly). ``low`` and ``high`` bound 95 %.
    """

    name: str
    judged: str
    value: float | None
    low: float | None
    high: float | None
    rows: int
    source: str | None = None


class Gain(Record):
    """How much better ``name`` does than ``than``, on the same rows, with a paired interval."""

    name: str
    than: str
    judged: str
    value: float | None
    low: float | None
    high: float | None
    source: str | None = None


class Chance(Record):
    """The same fit on ``draws`` permuted targets: their mean, the middle 95 %, and the share that
    does at least as well (with the true one counted in, so that it is never 0)."""

    draws: int
    mean: float
    low: float
    high: float
    p: float


class LinearFit(Record):
    """A linear model: prediction = sum of weights * readings - length * (1, l, l^2).

    l is the logarithm of the scored tokens. ``columns``: (family, layer, head) of each weight;
    ``fold``: the fold that had no part in it, None where all had; ``spread``: standard deviation
    of each reading at fixed length; ``alpha``: strength of the ridge.
    """

    fold: int | None = None
    columns: list[tuple[str, int, int]] = Field(default_factory=list)
    weights: list[float] = Field(default_factory=list)
    length: list[float] = Field(default_factory=list)
    spread: list[float] = Field(default_factory=list)
    alpha: float = 0.0


class HeadShare(Record):
    """How often a head had a weight over the folds, and its standardised weight in the whole fit,
    all its readings together."""

    layer: int
    head: int
    folds: float
    weight: float


class CalibrationRecord(Record):
    """calibration.json.

    ``folds_by``: a row's fold is a hash of its normalised prompt, or, in records of before, its id.
    """

    latest_format = CALIBRATION_FORMAT
    format: int
    name: str
    created: str = ""
    settings: CalibrationOptions
    target: TargetRecord
    model: ModelRecord | None = None
    text: str = "prompt"
    reasoning_heads: list[Head] = Field(default_factory=list)
    data: list[DataRecord] = Field(default_factory=list)
    estimates: list[Estimate] = Field(default_factory=list)
    gains: list[Gain] = Field(default_factory=list)
    chance: Chance | None = None
    verdict: list[str] = Field(default_factory=list)
    folds_by: Literal["id", "prompt"] = "id"
    whole: LinearFit
    fits: list[LinearFit] = Field(default_factory=list)
    heads: list[HeadShare] = Field(default_factory=list)
    command: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    seconds: float | None = None

    @property
    def heads_needed(self) -> list[Head]:
        """Heads that any of the fits weighs, layer-major."""
        return sorted({(layer, head) for fit in self.fits for _, layer, head in fit.columns})

    def estimate(self, name: str, judged: str = "pooled") -> Estimate | None:
        """A line of the comparison, over all sources."""
        matching = (
            e for e in self.estimates if (e.name, e.judged, e.source) == (name, judged, None)
        )
        return next(matching, None)


def stored_calibration(folder: Path, command: str) -> CalibrationRecord:
    """The record in a calibration's folder. Raises UserError where there is none, naming the
    command that makes it. It is called as its folder is, whatever it says."""
    path = folder / "calibration.json"
    if not os.path.isfile(path):
        raise UserError(
            f"{folder.parent.parent} has no calibration named {folder.name!r}: run {command}"
        )
    return CalibrationRecord.read(path).model_copy(update={"name": folder.name})
