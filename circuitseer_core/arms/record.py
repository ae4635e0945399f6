"""arms.json: which arms lie in a folder, what they were drawn from, and how they compare."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, field_serializer, field_validator

from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.errors import UserError
from circuitseer_core.export.archive import zipped
from circuitseer_core.runs.folder import ARMS_FOLDER, Run
from circuitseer_core.runs.records import Record
from circuitseer_core.runs.selection_records import plain_temperature

ARMS_FORMAT = 1
ARMS_FILE = "arms.json"


class ArmsOptions(Record, ArmsSettings):
    """The settings as arms.json keeps them; τ = ∞ is a word, and null in files of before."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @field_validator("temperature", mode="before")
    @classmethod
    def _endless(cls, value: Any) -> Any:
        return math.inf if value is None else value

    @field_serializer("temperature")
    def _plain(self, value: float) -> float | str:
        return plain_temperature(value)


class ArmRecord(Record):
    """One arm: ``file`` beside arms.json, its size, and how it differs from the others.

    ``tokens``: prompt and response as the budget counts them. ``shared_with_soft``: share of this
    arm's rows that the soft draw of its seed (the first one for arms without chance) also took;
    ``shared_floor``: the same with the uniform draw of that seed in place of this arm: what shared
    noise and size alone give. ``sha256``: over the chosen ids, best first.
    """

    label: str
    kind: str
    seed: int
    file: str
    meaning: str
    rows: int
    tokens: int
    mean_tokens: float
    median_tokens: float
    sources: dict[str, float] = Field(default_factory=dict)
    mean_score: float | None = None
    shared_with_soft: float | None = None
    shared_floor: float | None = None
    selection: str = ""
    sha256: str | None = None


class ArmsRecord(Record):
    """arms.json. ``rows_without_other_score``: rows that the arm by another scoring cannot take.

    ``notes``: sentences on arms that were left out though the scoring has columns for them.
    """

    format: int = ARMS_FORMAT
    run: str
    settings: ArmsOptions
    budget: dict[str, int]
    pool_rows: int
    pool_tokens: int
    rows_without_other_score: int = 0
    notes: list[str] = Field(default_factory=list)
    created: str = ""
    command: str | None = None
    arms: list[ArmRecord]


def run_arms(run: Run) -> list[Path]:
    """The folders of arms that jobs wrote into the run (RUN/arms/NAME), by name."""
    return sorted(path.parent for path in (run.path / ARMS_FOLDER).glob(f"*/{ARMS_FILE}"))


def arms_archive(folder: Path) -> bytes:
    """A zip of a folder of arms: data, manifests, cards, trainers' settings, summary."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    made = read_arms(folder).created or None
    return zipped([(path.relative_to(folder).as_posix(), path) for path in files], made)


def read_arms(folder: str | Path) -> ArmsRecord:
    """The record of a folder that ``arms`` wrote. Raises UserError where there is none."""
    path = Path(folder) / ARMS_FILE
    if not path.is_file():
        raise UserError(f"{folder} holds no comparison arms (no {ARMS_FILE}): run arms --out")
    record = ArmsRecord.read(path)
    if record.format != ARMS_FORMAT:
        raise UserError(f"{path} was written in format {record.format}, not {ARMS_FORMAT}")
    return record
