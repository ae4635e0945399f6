"""The study: train on every arm with every seed, judge each on the same held-out samples.

1. Hold out: at most ``per_source`` samples a source that ask what no arm and no sample of the probe
   asks, a fifth of them (by hash) for development.
2. Choose the learning rate once: the candidate whose model, trained on the first reference arm,
   has the lowest loss on the development part (one at which training diverges is out). No arm is
   judged on that part.
3. Seed by seed, train on every arm for the same number of optimiser steps over about the same
   number of tokens, and keep the loss of every held-out sample. The full pool, where it is asked
   for, is shown about once, which takes as many more steps.

Every finished model leaves one table; a study that was stopped goes on after the last. More seeds
or kinds can be added to a finished study.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from circuitseer_core.aliases import Floats
from circuitseer_core.data.fields import Fields
from circuitseer_core.errors import UserError
from circuitseer_core.files import write_parquet
from circuitseer_core.hashing import hash64
from circuitseer_core.installation import require_extra
from circuitseer_core.model.encoding import Encoded, resolve_template
from circuitseer_core.model.loading import (
    DTYPES,
    load_model,
    load_run_model,
    resolve_device,
)
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.progress import Progress
from circuitseer_core.runs.reading import read_as
from circuitseer_core.training.evaluate import (
    answerable,
    greedy_correct,
    held_out_table,
    response_losses,
)
from circuitseer_core.training.examples import (
    Examples,
    HeldOut,
    content_hash,
    held_out,
    prompts_of,
    steps_of,
    training_examples,
)
from circuitseer_core.training.finetune import Diverged, Recipe, Weights, finetuned
from circuitseer_core.training.plan import STUDY_FILE, ArmRows, StudyPlan, StudyRecord, Trial
from circuitseer_core.training.settings import FULL, UNTRAINED

_DEVELOPMENT = 5
"""Every fifth held-out sample, by hash, is for development."""


class Study(StudyPlan):
    """A training study in a folder; see the head of this module."""

    def run(
        self, progress: Progress, probe: frozenset[int] = frozenset(), known: Fields | None = None
    ) -> StudyRecord:
        """Train what is missing.

        Args:
            progress: counts optimiser steps.
            probe: hashes (text_hash) of prompts beside the arms' that are not held out either.
            known: the names by which to read held-out data where the settings give none and they
                fit it.

        Raises:
            UserError: the folder holds a study with other settings, or data cannot serve.
        """
        # What cannot be is told before a model is loaded.
        if self.settings.lora_rank:
            require_extra("train", "training by LoRA", "peft")
        asked = Fields.of(self.settings)
        heldout = read_as(self.settings.heldout, known or Fields(), asked)
        reference, weights_hash = self._load()
        longest = min(self.settings.max_length, reference.max_positions)
        template = resolve_template(reference.tokenizer, self.settings.template)
        files = [Path(self.settings.arms) / arm.file for arm in self.arms.arms]
        judged = held_out(
            reference.tokenizer, heldout, template=template, max_length=longest,
            per_source=self.settings.per_source, seed=self.settings.seed,
            without=probe | prompts_of(file for file in files if file.is_file()),
        )  # fmt: skip
        weights = Weights(reference.model, adapters=bool(self.settings.lora_rank))
        work = _Work(self, reference, weights, template, longest, judged, progress)
        missing = [trial for trial in self.plan if not self.has(trial.label)]
        record = self._begin(weights_hash, _dtype_name(reference.dtype), judged)
        record = work.count_rows(record, missing)
        missing = [trial for trial in missing if trial.kind not in record.skipped]
        rates = self.untried(record)
        short = max(1, round(self.settings.lr_share * record.steps))
        if not self.has(UNTRAINED):
            progress.begin("Judging the untrained model")
            progress.say("before training")
            write_parquet(self.path_of(UNTRAINED), work.judge(reference))
        steps = sum(record.steps_of(trial.kind) for trial in missing)
        progress.resize(len(rates) * short + steps)
        progress.begin("Training")
        record = work.choose_rate(record, rates, short)
        for trial in missing:
            record = work.train(record, trial)
        return record

    def write(self, record: StudyRecord) -> None:
        """Write study.json."""
        record.write(self.folder / STUDY_FILE)

    def _load(self) -> tuple[ReferenceModel, str | None]:
        """The model to train, and the hash of its weights; the run's as it was."""
        device = self.settings.device
        dtype = loaded_dtype(self.settings.lora_rank, resolve_device(device))
        if self.model == self.run_model.id:
            whole = self.run_model.model_copy(update={"weight_bits": "all"})
            return load_run_model(whole, dtype, device), whole.weights_hash
        reference, info = load_model(self.model, dtype=dtype, device=device)
        return reference, info.weights_hash

    def _begin(self, weights_hash: str | None, dtype: str, judged: HeldOut) -> StudyRecord:
        """The record as it stands, or a new one. Raises UserError where what decides differs."""
        heldout_hash = content_hash(judged.samples)
        if (self.folder / STUDY_FILE).is_file():
            record = StudyRecord.read(self.folder / STUDY_FILE)
            self.require_same(
                record, weights_hash=weights_hash, weights_dtype=dtype, heldout_hash=heldout_hash
            )
            if not any(self.folder.glob(f"{FULL}-t*.parquet")):  # of before it had its own steps
                record.full_steps = self.full_steps
            return record
        self.folder.mkdir(parents=True, exist_ok=True)
        rates = self.settings.rates
        record = StudyRecord(
            settings=self.options, steps=self.steps, full_steps=self.full_steps,
            arms=self.arm_hashes, weights_hash=weights_hash, weights_dtype=dtype,
            heldout_hash=heldout_hash, heldout_left_out=judged.left_out,
            learning_rate=rates[0] if len(rates) == 1 else None,
        )  # fmt: skip
        self.write(record)
        return record


def loaded_dtype(lora_rank: int, device: torch.device) -> str:
    """In which precision a model's weights are loaded to be trained.

    float32, in which small steps are not lost; bf16 where LoRA leaves them as they are, on a GPU.
    The adapters are float32 always.
    """
    return "bf16" if lora_rank and device.type == "cuda" else "fp32"


def _dtype_name(dtype: torch.dtype) -> str:
    return next((name for name, known in DTYPES.items() if known == dtype), str(dtype))


@dataclass(frozen=True, slots=True)
class _Work:
    """The model at hand and what it is judged on."""

    study: Study
    reference: ReferenceModel
    weights: Weights
    template: str
    max_length: int
    held_out: HeldOut
    progress: Progress

    @property
    def samples(self) -> list[Encoded]:
        return self.held_out.samples

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
        """The held-out table of a model, development part left out; Diverged where a loss is not
        finite: no mean of it and others could be compared."""
        settings = self.study.settings
        judged = [s for s, dev in zip(self.samples, self.development(), strict=True) if not dev]
        losses = response_losses(model, judged, bf16=self.bf16)
        if not np.isfinite(losses).all():
            raise Diverged("a held-out loss is not finite")
        correct = np.full(len(judged), np.nan)
        if settings.answers:
            numbers = answerable(judged, self.held_out.texts)
            places = pd.Series([judged[i].source for i in numbers], index=numbers, dtype=object)
            asked = [i for i in numbers if places.groupby(places).cumcount()[i] < settings.answers]
            correct[asked] = greedy_correct(
                model, [judged[i] for i in asked], self.held_out.texts,
                max_new_tokens=settings.max_new_tokens, bf16=self.bf16,
            )  # fmt: skip
        return held_out_table(judged, losses, correct)

    def examples(self, trial: Trial) -> Examples:
        """The rows of a trial's arm as this model reads them."""
        path = Path(self.study.settings.arms) / self.study.arm(trial.kind, trial.seed).file
        return training_examples(
            self.reference.tokenizer, path, template=self.template, max_length=self.max_length
        )

    def count_rows(self, record: StudyRecord, trials: Sequence[Trial]) -> StudyRecord:
        """How many rows of every arm are used; kinds with an arm of none are skipped.

        Raises UserError where that is the reference, or nothing would be left to train.
        """
        for trial in trials:
            label = self.study.arm(trial.kind, trial.seed).label
            if label not in record.rows:
                own = self.examples(trial)
                rows = ArmRows(
                    used=len(own.usable), long=own.long, unusable=own.unusable, tokens=own.tokens
                )
                record.rows = record.rows | {label: rows}
            if not record.rows[label].used:
                why = f"no row of {label} has a response within {self.max_length} tokens"
                record.skipped = record.skipped | {trial.kind: why}
        self.study.write(record)
        if (reference := self.study.settings.reference) in record.skipped:
            why = record.skipped[reference]
            raise UserError(f"{why}, and the other arms are compared with it: raise max_length")
        return record

    def choose_rate(self, record: StudyRecord, rates: list[float], steps: int) -> StudyRecord:
        """Try the candidates that were not tried yet; the best one is taken.

        Raises UserError where training diverged at each of them.
        """
        for rate in rates:
            self.progress.say(f"learning rate {rate:g}")
            loss = self._development_loss(rate, steps)
            record.development_loss = record.development_loss | {repr(rate): loss}
            self.study.write(record)
        if record.learning_rate is None:
            losses = {rate: loss for rate, loss in record.development_loss.items()
                      if loss is not None}  # fmt: skip
            if not losses:
                tried = ", ".join(record.development_loss)
                raise UserError(
                    f"training diverged at every learning rate that was tried ({tried}): give "
                    "lower ones, and the study another name"
                )
            record.learning_rate = float(min(losses, key=lambda rate: losses[rate]))
            self.study.write(record)
        return record

    def _development_loss(self, rate: float, steps: int) -> float | None:
        """After training at this rate on the first reference arm; None where that diverged."""
        settings = self.study.settings
        development = [s for s, d in zip(self.samples, self.development(), strict=True) if d]

        def measure(model: ReferenceModel) -> float:
            return float(response_losses(model, development, bf16=self.bf16).mean())

        try:
            loss, _ = self._trained(Trial(settings.reference, settings.seed), rate, steps, measure)
        except Diverged:
            return None
        return float(loss) if math.isfinite(loss) else None

    def train(self, record: StudyRecord, trial: Trial) -> StudyRecord:
        """Train one model, judge it, keep its table."""
        began = time.monotonic()
        self.progress.say(trial.label)
        rate = float(record.learning_rate or 0.0)
        try:
            table, seen = self._trained(trial, rate, record.steps_of(trial.kind), self.judge)
        except Diverged as error:
            raise UserError(
                f"{trial.label}: {error} (learning rate {rate:g}): give lower learning_rates, and "
                "the study another name"
            ) from error
        record.seconds = record.seconds | {trial.label: round(time.monotonic() - began, 1)}
        record.tokens = record.tokens | {trial.label: sum(seen)}
        record.rows_seen = record.rows_seen | {trial.label: len(seen)}
        self.study.write(record)  # before the table, which says that the model is finished
        write_parquet(self.study.path_of(trial.label), table)
        return record

    def _trained(
        self, trial: Trial, rate: float, steps: int, then: Callable[[ReferenceModel], Any]
    ) -> tuple[Any, list[int]]:
        """What ``then`` makes of the trained model, and how many tokens of every row it saw."""
        settings = self.study.settings
        examples = self.examples(trial).usable
        lengths = [example.n_tokens for example in examples]
        dealt = steps_of(lengths, settings.tokens_a_step, steps, trial.seed)
        recipe = Recipe(rate, settings.lora_rank, self.bf16)
        times = Counter(i for step in dealt for i in step)
        with finetuned(
            self.reference, self.weights, examples, dealt, recipe,
            seed=trial.seed, on_step=lambda: self.progress.advance(1),
        ) as model:  # fmt: skip
            return then(model), [n * lengths[i] for i, n in times.items()]
