"""Which models a study has to train, which it has, and what they said; needs no model library."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ConfigDict, Field

from circuitseer_core.arms.kinds import SEEDED, arm_label
from circuitseer_core.arms.record import ArmRecord, ArmsRecord, read_arms
from circuitseer_core.checksums import is_damaged
from circuitseer_core.errors import UserError
from circuitseer_core.runs.records import ModelRecord, Record, read_or_none
from circuitseer_core.training.settings import FULL, UNTRAINED, StudySettings

STUDY_FILE = "study.json"


class StudyOptions(Record, StudySettings):
    """Of a study's settings those that decide its numbers, as study.json keeps them."""

    model_config = ConfigDict(extra="allow", frozen=True)


class ArmRows(Record):
    """Rows of an arm that were trained on, and left out: too long, or without a usable response.

    ``tokens``: of the rows used, as the trained model's tokenizer has them.
    """

    used: int
    long: int = 0
    unusable: int = 0
    tokens: int = 0


class StudyRecord(Record):
    """study.json: what was decided, the learning rates tried, and the seconds of every model.

    What later versions keep is None or empty in studies of before.

    Attributes:
        steps: of every model but those of the full pool, which have ``full_steps``.
        weights_hash: of the model before training.
        weights_dtype: in which its weights were loaded.
        heldout_hash: of the held-out samples as tokens.
        heldout_left_out: rows that were not held out, since an arm or the probe holds them.
        development_loss: by learning rate; None where training at it diverged.
        tokens: that a model was trained on, and ``rows_seen``: different rows, by trial.
        rows: by arm.
        skipped: kinds that were not trained, and why.
    """

    settings: StudyOptions
    steps: int
    full_steps: int | None = None
    arms: list[str] = Field(default_factory=list)
    weights_hash: str | None = None
    weights_dtype: str | None = None
    heldout_hash: str | None = None
    heldout_left_out: int | None = None
    learning_rate: float | None = None
    development_loss: dict[str, float | None] = Field(default_factory=dict)
    seconds: dict[str, float] = Field(default_factory=dict)
    tokens: dict[str, int] = Field(default_factory=dict)
    rows_seen: dict[str, int] = Field(default_factory=dict)
    rows: dict[str, ArmRows] = Field(default_factory=dict)
    skipped: dict[str, str] = Field(default_factory=dict)

    def steps_of(self, kind: str) -> int:
        """Optimiser steps of a model of this kind."""
        return self.full_steps or self.steps if kind == FULL else self.steps


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
    wanted = list(settings.kinds) or [kind for kind in have if kind != FULL]
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
    def kinds(self) -> set[str]:
        """Those that are trained."""
        return {trial.kind for trial in self.plan}

    @property
    def steps(self) -> int:
        """Optimiser steps of every model but those of the full pool."""
        known = [a.tokens for a in self.arms.arms if a.kind != FULL]
        largest = max(known or [arm.tokens for arm in self.arms.arms])
        return self.settings.steps or -(-largest // self.settings.tokens_a_step)

    @property
    def full_steps(self) -> int | None:
        """Steps that show the full pool about once; None where it is no arm."""
        pools = [arm.tokens for arm in self.arms.arms if arm.kind == FULL]
        return -(-pools[0] // self.settings.tokens_a_step) if pools else None

    def require_same(
        self,
        record: StudyRecord,
        *,
        but: Collection[str] = (),
        weights_hash: str | None = None,
        weights_dtype: str | None = None,
        heldout_hash: str | None = None,
    ) -> None:
        """Raise UserError where a study in this folder was made with other settings, arms or, where
        they are known, weights or held-out samples; ``but``: settings that may differ."""
        wanted = self.options.decisive()
        before = record.settings.decisive()
        for name, value in wanted.items():
            if name not in but and before[name] != value:
                raise UserError(
                    f"{self.folder} holds a study with {name} {before[name]}, not {value}: "
                    "give this one another name"
                )
        for what, then, now in (
            ("arms", record.arms, self.arm_hashes),
            ("weights of the same model", record.weights_hash, weights_hash),
            ("precision of the weights", record.weights_dtype, weights_dtype),
            ("held-out samples", record.heldout_hash, heldout_hash),
        ):
            if then is not None and now is not None and then != now:
                raise UserError(
                    f"{self.folder} holds a study of other {what}: give it another name"
                )

    @property
    def options(self) -> StudyOptions:
        """The settings as study.json keeps them."""
        return StudyOptions(**self.settings.decisive() | {"model": self.model})

    @property
    def arm_hashes(self) -> list[str]:
        """Over the ids of every arm."""
        return [str(arm.sha256) for arm in self.arms.arms]

    def results(self) -> dict[str, list[pd.DataFrame]]:
        """The judged tables by kind, in order of the seeds; ``untrained`` has one.

        Of a kind those up to the first seed that is missing, so that seeds are paired.
        """
        tables: dict[str, list[pd.DataFrame]] = {}
        if self.has(UNTRAINED):
            tables[UNTRAINED] = [pd.read_parquet(self.path_of(UNTRAINED))]
        for trial in self.finished():
            tables.setdefault(trial.kind, []).append(pd.read_parquet(self.path_of(trial.label)))
        return tables

    def finished(self) -> list[Trial]:
        """The trials that ``results`` has."""
        done, broken = [], set()
        for trial in self.plan:
            if self.has(trial.label) and trial.kind not in broken:
                done.append(trial)
            else:
                broken.add(trial.kind)
        return done

    def arm(self, kind: str, seed: int) -> ArmRecord:
        """The arm that a trial trains on."""
        return next(arm for arm in self.arms.arms if arm.label == arm_label(kind, seed))

    def path_of(self, label: str) -> Path:
        """The table of one trained model, or of the untrained one."""
        return self.folder / f"{label}.parquet"

    def has(self, label: str) -> bool:
        """Whether this model's table is there, and whole: what is damaged is trained again."""
        path = self.path_of(label)
        return path.is_file() and not is_damaged(path)

    def models_left(self) -> float:
        """Models still to be trained; one of more steps (full), or a learning rate that is tried,
        counts as its share of one."""
        record = self.record()
        skipped = record.skipped if record is not None else {}
        full = (self.full_steps or self.steps) / self.steps
        left = sum(
            full if trial.kind == FULL else 1.0
            for trial in self.plan
            if not self.has(trial.label) and trial.kind not in skipped
        )
        rates = self.settings.rates
        untried = 0 if len(rates) == 1 else len(rates)
        if record is not None:
            untried = len(self.untried(record))
        return left + self.settings.lr_share * untried

    def seconds_a_model(self) -> float | None:
        """What a finished model of this study took, on average; None before there is one."""
        record = self.record()
        took = [] if record is None else list(record.seconds.items())
        own = [seconds for label, seconds in took if not label.startswith(f"{FULL}-t")]
        return float(np.mean(own)) if own else None

    def record(self) -> StudyRecord | None:
        """study.json, where there is one that can be read."""
        return read_or_none(StudyRecord, self.folder / STUDY_FILE)

    def untried(self, record: StudyRecord) -> list[float]:
        """The learning rates still to be tried; none where it is chosen."""
        if record.learning_rate is not None:
            return []
        tried = {float(rate) for rate in record.development_loss}
        return [rate for rate in self.settings.rates if rate not in tried]
