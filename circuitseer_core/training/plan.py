"""Which models a study has to train, which it has, and what they said; needs no model library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ConfigDict, Field

from circuitseer_core.arms.kinds import SEEDED, arm_label
from circuitseer_core.arms.record import ArmRecord, ArmsRecord, read_arms
from circuitseer_core.errors import UserError
from circuitseer_core.runs.records import ModelRecord, Record, read_or_none
from circuitseer_core.training.settings import UNTRAINED, StudySettings

STUDY_FILE = "study.json"


class StudyOptions(Record, StudySettings):
    """Of a study's settings those that decide its numbers, as study.json keeps them."""

    model_config = ConfigDict(extra="allow", frozen=True)


class StudyRecord(Record):
    """study.json: what was decided, the learning rates tried, and the seconds of every model.

    Attributes:
        weights_hash: of the model before training; None in studies of before it was kept.
        heldout_hash: of the held-out samples as tokens; None as above.
        development_loss: by learning rate; None where training at it diverged.
    """

    settings: StudyOptions
    steps: int
    arms: list[str] = Field(default_factory=list)
    weights_hash: str | None = None
    heldout_hash: str | None = None
    learning_rate: float | None = None
    development_loss: dict[str, float | None] = Field(default_factory=dict)
    seconds: dict[str, float] = Field(default_factory=dict)
    tokens: dict[str, int] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trial:
    """One model to train: a kind of arm and a training seed."""

    kind: str
    seed: int

    @property
    def label(self) -> str:
        """``soft-t0``, as the file is named."""
        return f"{self.kind}-t{self.seed}"


def trials(record: ArmsRecord, settings: StudySettings) -> list[Trial]:
    """Seed by seed, so that a study that is stopped has every arm as often.

    Raises:
        UserError: a kind is asked for that is not among the arms, or a random arm has fewer draws
            than there are training seeds.
    """
    have = list(dict.fromkeys(arm.kind for arm in record.arms))
    wanted = list(settings.kinds) or [kind for kind in have if kind != "full"]
    if missing := [kind for kind in {*wanted, settings.reference} if kind not in have]:
        raise UserError(f"{settings.arms} has no arm {missing[0]!r}; it has {', '.join(have)}")
    if settings.reference not in wanted:
        wanted.insert(0, settings.reference)
    seeds = range(settings.seed, settings.seed + settings.seeds)
    labels = {arm.label for arm in record.arms}
    for kind in wanted:
        drawn = [seed for seed in seeds if arm_label(kind, seed) in labels]
        if kind in SEEDED and len(drawn) < len(seeds):
            raise UserError(
                f"arm {kind!r} was drawn for {len(drawn)} of the {len(seeds)} training seeds: "
                f"run arms with --seeds {settings.seeds} or more"
            )
    return [Trial(kind, seed) for seed in seeds for kind in wanted]


class StudyPlan:
    """The models of a study in a folder: one table each where it is finished.

    Args:
        run_model: the run's; what is trained where the settings name no other.
    """

    def __init__(self, folder: Path, settings: StudySettings, run_model: ModelRecord) -> None:
        self.folder, self.settings, self.run_model = folder, settings, run_model
        self.model = settings.model or run_model.id
        self.arms = read_arms(settings.arms)
        self.plan = trials(self.arms, settings)

    @property
    def steps(self) -> int:
        """Optimiser steps of every model."""
        known = [a.tokens for a in self.arms.arms if a.kind != "full"]
        largest = max(known or [arm.tokens for arm in self.arms.arms])
        return self.settings.steps or -(-largest // self.settings.tokens_a_step)

    def results(self) -> dict[str, list[pd.DataFrame]]:
        """The judged tables by kind, in order of the seeds; ``untrained`` has one."""
        tables: dict[str, list[pd.DataFrame]] = {}
        for label, kind in [(UNTRAINED, UNTRAINED), *((t.label, t.kind) for t in self.plan)]:
            if self.path_of(label).is_file():
                tables.setdefault(kind, []).append(pd.read_parquet(self.path_of(label)))
        return tables

    def arm(self, kind: str, seed: int) -> ArmRecord:
        """The arm that a trial trains on."""
        return next(arm for arm in self.arms.arms if arm.label == arm_label(kind, seed))

    def path_of(self, label: str) -> Path:
        """The table of one trained model, or of the untrained one."""
        return self.folder / f"{label}.parquet"

    def models_left(self) -> float:
        """Models still to be trained; a learning rate that is tried counts as its share of one."""
        record = self.record()
        left = sum(not self.path_of(trial.label).is_file() for trial in self.plan)
        rates = self.settings.learning_rates
        untried = 0 if len(rates) == 1 else len(rates)
        if record is not None:
            untried = len(self.untried(record))
        return left + self.settings.lr_share * untried

    def seconds_a_model(self) -> float | None:
        """What a finished model of this study took, on average; None before there is one."""
        record = self.record()
        if record is None or not record.seconds:
            return None
        return float(np.mean(list(record.seconds.values())))

    def record(self) -> StudyRecord | None:
        """study.json, where there is one that can be read."""
        return read_or_none(StudyRecord, self.folder / STUDY_FILE)

    def untried(self, record: StudyRecord) -> list[float]:
        """The learning rates still to be tried; none where it is chosen."""
        if record.learning_rate is not None:
            return []
        tried = {float(rate) for rate in record.development_loss}
        return [rate for rate in self.settings.learning_rates if rate not in tried]
