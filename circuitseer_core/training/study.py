"""The study: train on every arm with every seed, judge each on the same held-out samples.

1. Hold out: at most ``per_source`` samples a source, a fifth of them (by hash) for development.
2. Choose the learning rate once: the candidate whose model, trained on the first reference arm,
   has the lowest loss on the development part. No arm is judged on that part.
3. Seed by seed, train on every arm for the same number of optimiser steps over about the same
   number of tokens, and keep the loss of every held-out sample.

Every finished model leaves one table; a study that was stopped goes on after the last. More seeds
or kinds can be added to a finished study.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core.aliases import Floats
from circuitseer_core.arms.kinds import SEEDED, arm_label
from circuitseer_core.arms.record import ArmRecord, ArmsRecord, read_arms
from circuitseer_core.data.sample import Sample
from circuitseer_core.errors import UserError
from circuitseer_core.files import write_parquet
from circuitseer_core.hashing import hash64
from circuitseer_core.model.encoding import Encoded, resolve_template
from circuitseer_core.model.loading import load_model
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.progress import Progress
from circuitseer_core.runs.records import Record
from circuitseer_core.training.evaluate import (
    answerable,
    greedy_correct,
    held_out_table,
    response_losses,
)
from circuitseer_core.training.examples import held_out, steps_of, training_examples
from circuitseer_core.training.finetune import Recipe, Weights, finetuned
from circuitseer_core.training.settings import UNTRAINED, StudySettings

STUDY_FILE = "study.json"
_DEVELOPMENT = 5
"""Every fifth held-out sample, by hash, is for development."""


class StudyRecord(Record):
    """study.json: what was decided, the learning rates tried, and the seconds of every model."""

    settings: dict[str, Any]
    steps: int
    arms: list[str] = Field(default_factory=list)
    learning_rate: float | None = None
    development_loss: dict[str, float] = Field(default_factory=dict)
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


class Study:
    """A training study in a folder; see the head of this module."""

    def __init__(self, folder: Path, settings: StudySettings, model: str) -> None:
        self.folder, self.settings = folder, settings
        self.model = settings.model or model
        self.arms = read_arms(settings.arms)
        self.plan = trials(self.arms, settings)

    def run(self, progress: Progress) -> StudyRecord:
        """Train what is missing.

        Raises:
            UserError: the folder holds a study with other settings, or data cannot serve.
        """
        reference, _ = load_model(self.model, dtype="fp32", device=self.settings.device)
        template = resolve_template(reference.tokenizer, self.settings.template)
        samples, texts = held_out(
            reference.tokenizer, self.settings.heldout, template=template,
            max_length=self.settings.max_length, per_source=self.settings.per_source,
            seed=self.settings.seed,
        )  # fmt: skip
        work = _Work(self, reference, template, samples, texts, progress)
        record = self._begin()
        missing = [trial for trial in self.plan if not self.path_of(trial.label).is_file()]
        rates = self._untried(record)
        short = max(1, round(self.settings.lr_share * record.steps))
        progress.resize(len(rates) * short + len(missing) * record.steps)
        if not self.path_of(UNTRAINED).is_file():
            progress.say("before training")
            write_parquet(self.path_of(UNTRAINED), work.judge(reference))
        record = work.choose_rate(record, rates, short)
        for trial in missing:
            record = work.train(record, trial)
        return record

    def _untried(self, record: StudyRecord) -> list[float]:
        """The learning rates still to be tried; none where it is chosen."""
        if record.learning_rate is not None:
            return []
        tried = {float(rate) for rate in record.development_loss}
        return [rate for rate in self.settings.learning_rates if rate not in tried]

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

    def write(self, record: StudyRecord) -> None:
        """Write study.json."""
        record.write(self.folder / STUDY_FILE)

    def path_of(self, label: str) -> Path:
        """The table of one trained model, or of the untrained one."""
        return self.folder / f"{label}.parquet"

    def _begin(self) -> StudyRecord:
        """The record as it stands, or a new one. Raises UserError where settings differ."""
        files = [str(arm.sha256) for arm in self.arms.arms]
        wanted = self.settings.decisive() | {"model": self.model}
        if (self.folder / STUDY_FILE).is_file():
            record = StudyRecord.read(self.folder / STUDY_FILE)
            for name, value in wanted.items():
                if record.settings.get(name) != value:
                    raise UserError(
                        f"{self.folder} holds a study with {name} {record.settings.get(name)}, not "
                        f"{value}: give this one another name"
                    )
            if record.arms != files:
                raise UserError(f"{self.folder} holds a study of other arms: give it another name")
            return record
        self.folder.mkdir(parents=True, exist_ok=True)
        known = [a.tokens for a in self.arms.arms if a.kind != "full"]
        largest = max(known or [arm.tokens for arm in self.arms.arms])
        steps = self.settings.steps or -(-largest // self.settings.tokens_a_step)
        rates = self.settings.learning_rates
        only = rates[0] if len(rates) == 1 else None
        record = StudyRecord(settings=wanted, steps=steps, arms=files, learning_rate=only)
        self.write(record)
        return record


@dataclass(frozen=True, slots=True)
class _Work:
    """The model at hand and what it is judged on."""

    study: Study
    reference: ReferenceModel
    template: str
    samples: list[Encoded]
    texts: dict[str, Sample]
    progress: Progress

    @property
    def bf16(self) -> bool:
        return self.study.settings.precision == "bf16"

    def development(self) -> Floats:
        """(n,) whether a held-out sample is for development."""
        keys = hash64(self.study.settings.seed, "development", [s.id for s in self.samples])
        order = np.argsort(keys, kind="stable")
        mask = np.zeros(len(order), dtype=bool)
        mask[order[: max(1, len(order) // _DEVELOPMENT)]] = True
        return mask

    def judge(self, model: ReferenceModel) -> pd.DataFrame:
        """The held-out table of a model, development part left out."""
        settings = self.study.settings
        judged = [s for s, dev in zip(self.samples, self.development(), strict=True) if not dev]
        losses = response_losses(model, judged, bf16=self.bf16)
        correct = np.full(len(judged), np.nan)
        if settings.answers:
            numbers = answerable(judged, self.texts)
            places = pd.Series([judged[i].source for i in numbers], index=numbers, dtype=object)
            asked = [i for i in numbers if places.groupby(places).cumcount()[i] < settings.answers]
            correct[asked] = greedy_correct(
                model, [judged[i] for i in asked], self.texts,
                max_new_tokens=settings.max_new_tokens, bf16=self.bf16,
            )  # fmt: skip
        return held_out_table(judged, losses, correct)

    def choose_rate(self, record: StudyRecord, rates: list[float], steps: int) -> StudyRecord:
        """Try the candidates that were not tried yet; the best one is taken."""
        settings = self.study.settings
        development = [s for s, d in zip(self.samples, self.development(), strict=True) if d]
        for rate in rates:
            self.progress.say(f"learning rate {rate:g}")

            def measure(model: ReferenceModel) -> float:
                return float(response_losses(model, development, bf16=self.bf16).mean())

            trial = Trial(settings.reference, settings.seed)
            loss, _ = self._trained(trial, rate, steps, measure)
            record.development_loss = record.development_loss | {repr(rate): loss}
            self.study.write(record)
        if record.learning_rate is None:
            best = min(record.development_loss, key=lambda rate: record.development_loss[rate])
            record.learning_rate = float(best)
            self.study.write(record)
        return record

    def train(self, record: StudyRecord, trial: Trial) -> StudyRecord:
        """Train one model, judge it, keep its table."""
        began = time.monotonic()
        self.progress.say(trial.label)
        rate = float(record.learning_rate or 0.0)
        table, tokens = self._trained(trial, rate, record.steps, self.judge)
        write_parquet(self.study.path_of(trial.label), table)
        record.seconds = record.seconds | {trial.label: round(time.monotonic() - began, 1)}
        record.tokens = record.tokens | {trial.label: tokens}
        self.study.write(record)
        return record

    def _trained(
        self, trial: Trial, rate: float, steps: int, then: Callable[[ReferenceModel], Any]
    ) -> tuple[Any, int]:
        """What ``then`` makes of the trained model, and the tokens it was trained on."""
        settings = self.study.settings
        path = Path(settings.arms) / self.study.arm(trial.kind, trial.seed).file
        examples = training_examples(
            self.reference.tokenizer, path, template=self.template, max_length=settings.max_length
        )
        lengths = [example.n_tokens for example in examples]
        dealt = steps_of(lengths, settings.tokens_a_step, steps, trial.seed)
        recipe = Recipe(rate, settings.lora_rank, self.bf16)
        with finetuned(
            self.reference, Weights(self.reference.model), examples, dealt, recipe,
            seed=trial.seed, on_step=lambda: self.progress.advance(1),
        ) as model:  # fmt: skip
            return then(model), sum(lengths[i] for step in dealt for i in step)
