"""Stage 1: how much does the loss rise when one head attends to everything alike?

1. Build the probe: candidates from the user's data, those of highest clean loss (probe.py).
2. For every head (l, h) and probe sample: delta_loss = L(A[l,h] <- U) - L(clean), U being
   undifferentiated attention (attention.py), L the mean cross-entropy in nats of the response
   tokens. Layers below l are not recomputed (replay.py).
3. ``exact`` runs every head on every sample; ``racing`` narrows the field on a fixed schedule
   (racing.py).
4. Importance is the mean over samples; the ceil(5 %) heads of highest importance are the reasoning
   heads (heads.py). Every per-sample value is kept, so all later statistics need no second run.

Source: arXiv 2510.18470 (uniform ablation, probe, top 5 %); arXiv 2410.13708, eq. 7 (U).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from circuitseer_core.aliases import Head
from circuitseer_core.checksums import is_damaged
from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.fields import Fields
from circuitseer_core.detection import heads as head_stats
from circuitseer_core.detection import probe as probes
from circuitseer_core.detection.ablation import AblationMode, mean_outputs
from circuitseer_core.detection.ablator import find_stack_tokens
from circuitseer_core.detection.cost import noise_ahead, seconds_ahead
from circuitseer_core.detection.device_measurer import Setup, measuring
from circuitseer_core.detection.importance_table import is_merged, merge_parts, read_rounds
from circuitseer_core.detection.joint import joint_loss
from circuitseer_core.detection.kept_losses import KeptLosses, drop_losses
from circuitseer_core.detection.noise_floor import measure_noise
from circuitseer_core.detection.parts import measure_parts, parts_of
from circuitseer_core.detection.racing import Round, cost, schedule, survivors
from circuitseer_core.detection.replay import replay_is_exact
from circuitseer_core.detection.resume import (
    is_done,
    measured,
    refuse_other_model,
    refuse_other_settings,
)
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.detection.timing import pool_budget, say_how_long, say_what_is_left
from circuitseer_core.files import write_parquet
from circuitseer_core.model.batches import loss_batch
from circuitseer_core.model.encoding import Encoded, default_max_length, resolve_template
from circuitseer_core.model.loading import load_model, pickle_allowed
from circuitseer_core.model.memory import freed_memory_kept
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.machine import device_names
from circuitseer_core.runs.progress import Progress, announce, print_above_bars, say_redone
from circuitseer_core.runs.records import DetectOptions, DetectRecord, ModelRecord
from circuitseer_core.runs.settings_file import write_settings
from circuitseer_core.runs.stage import versions_with

__all__ = ["DetectSettings", "detect", "joint_loss"]


def detect(
    run: Run,
    settings: DetectSettings,
    *,
    reference: ReferenceModel | None = None,
    show: bool = True,
) -> pd.DataFrame:
    """Measure the importance of every head and write heads.parquet.

    A run that is done is left as it is; one that was stopped goes on from its finished parts.

    Args:
        reference: an already loaded model, for use from Python, where it is; else
            ``settings.model`` is loaded, on every device that the settings name.

    Returns:
        heads.parquet.

    Raises:
        UserError: bad data or model, or a run folder made with another model or other settings.
    """
    refuse_other_settings(run, settings)
    if is_done(run):
        return run.heads()
    announce(run, "detect", "Reading the data")
    corpora = {"probe": Corpus(settings.probe, Fields.of(settings))}
    if settings.contrast:
        corpora["contrast"] = Corpus(settings.contrast, Fields.of(settings))
    for corpus in corpora.values():
        corpus.count()  # an empty or unreadable dataset is refused before a model is loaded
    devices = device_names(settings) if reference is None else []
    if reference is None:
        announce(run, "detect", "Loading the model")
        with pickle_allowed(settings.allow_pickle):
            reference, info = load_model(
                settings.model,
                dtype=settings.dtype,
                device=devices[0],
                revision=settings.revision,
                weight_bits=settings.weight_bits,
                check=partial(_check, settings),
            )
        refuse_other_model(run, info)
        with run.editing() as record:
            record.model = ModelRecord(**asdict(info))
    with run.editing() as record:
        record.detect = run.detection
        record.detect.settings = DetectOptions(**settings.model_dump())
        record.detect.versions = versions_with(run.detection.versions)
    write_settings(run.path, "detect", run.path, settings)
    goes_on = run.probe_path.is_file()
    table = _prepare(run, settings, reference, corpora, show)
    with pickle_allowed(settings.allow_pickle):  # for the workers
        return _Detection(run, settings, reference, table, show, devices, goes_on).measure()


def _check(settings: DetectSettings, positions: int, tokenizer: Any) -> None:
    """Refuse settings that this model cannot have, before its weights are read."""
    default_max_length(positions, settings.max_length)
    resolve_template(tokenizer, settings.template)


def _prepare(
    run: Run,
    settings: DetectSettings,
    reference: ReferenceModel,
    corpora: dict[str, Corpus],
    show: bool,
) -> pd.DataFrame:
    """probe.parquet: from an earlier attempt, or built now.

    Raises UserError where it is damaged and something was measured on it.
    """
    measured = any(run.importance_dir.glob("part-*.parquet"))
    if run.probe_path.is_file() and (measured or not is_damaged(run.probe_path)):
        drop_losses(run)
        return run.probe()
    say_redone([run.probe_path] if run.probe_path.is_file() else [])
    max_length = default_max_length(reference.max_positions, settings.max_length)
    template = resolve_template(reference.tokenizer, settings.template)
    detection = run.detection.model_copy()
    detection.template, detection.max_length = template, max_length
    tables = []
    for name, corpus in corpora.items():
        announce(run, "detect", f"Drawing candidates for the {name}")
        candidates = probes.encode_candidates(
            reference,
            corpus,
            size=settings.probe_pool,
            seed=settings.seed,
            template=template,
            loss_tokens=settings.loss_tokens,
            max_length=max_length,
        )
        by_loss = name == "probe" and settings.probe_criterion == "loss"
        samples = candidates.samples
        if not by_loss:
            samples = _without_losses(samples, settings, name)
        budget = pool_budget(reference)
        if name == "probe":
            detection.estimate_s = say_how_long(run, settings, reference, samples, show)
        with Progress(
            run, f"{name} pool", len(samples), unit="samples", show=show,
            phase=f"Clean loss of candidates for the {name}",
            ahead=seconds_ahead(settings, reference, len(samples), name),
        ) as progress, KeptLosses(run, name) as known:  # fmt: skip
            losses = probes.candidate_losses(reference, samples, budget, progress, known)
        criterion = "loss" if by_loss else "random"
        chosen = probes.choose_probe(samples, losses, criterion=criterion, size=settings.probe_size)
        kept = [samples[i] for i in chosen]
        tables.append(probes.probe_table(kept, losses[chosen], name))
        if name == "probe":
            columns = {"id": [s.id for s in samples], "source": [s.source for s in samples]}
            write_parquet(run.pool_path, pd.DataFrame(columns | {"base_loss": losses}))
        probes.note_candidates(detection, name, corpus, candidates)
    table = pd.concat(tables, ignore_index=True)
    with run.editing() as record:
        record.detect = detection
    write_parquet(run.probe_path, table)
    drop_losses(run)
    return table


def _without_losses(samples: list[Encoded], settings: DetectSettings, name: str) -> list[Encoded]:
    """Where the criterion needs no losses, only the chosen samples are run."""
    criterion = settings.probe_criterion if name == "probe" else "random"
    unknown = np.zeros(len(samples))
    chosen = probes.choose_probe(samples, unknown, criterion=criterion, size=settings.probe_size)
    return [samples[i] for i in chosen]


@dataclass(slots=True)
class _Detection:
    """The measuring part: rounds over the sets, then the table of heads.

    devices: where worker processes measure; with fewer than two, ``reference`` does it here.
    goes_on: whether an earlier try chose the probe, and said how long it would take then.
    """

    run: Run
    settings: DetectSettings
    reference: ReferenceModel
    table: pd.DataFrame
    show: bool
    devices: Sequence[str]
    goes_on: bool

    def measure(self) -> pd.DataFrame:
        samples = {
            name: probes.samples_of(rows, self.reference)
            for name in ("probe", "contrast")
            if len(rows := self.table[self.table["set"] == name])
        }
        rounds = self._rounds(min(len(s) for s in samples.values()))
        if not is_merged(self.run.importance_dir):
            self._race(samples, rounds)
        importance, spread = merge_parts(self.run.importance_dir)
        with freed_memory_kept(self.reference.device.type):  # every pass widens all weights anew
            noise = measure_noise(
                self.run,
                self.reference,
                samples["probe"],
                importance[importance["set"] == "probe"],
                self._mode(samples["probe"]),
                seed=self.settings.seed,
                show=self.show,
            )
        finalists = None
        if self.settings.mode == "racing":
            counts = importance.groupby(["layer", "head"]).size()
            finalists = set(counts[counts == counts.max()].index)
        heads = head_stats.head_table(importance, self.table, finalists, noise.nats)
        with self._detection() as detection:
            detection.finished, detection.batch_spread = now(), spread
            noise.record_in(detection)
            detection.n_probe, detection.n_heads = len(samples["probe"]), len(heads)
            detection.evaluations = len(importance)
        write_parquet(self.run.heads_path, heads)
        return heads

    @contextmanager
    def _detection(self) -> Iterator[DetectRecord]:
        """The section ``detect`` of run.json, to be changed in the block."""
        with self.run.editing() as record:
            record.detect = record.detect or DetectRecord()
            yield record.detect

    def _rounds(self, n_samples: int) -> list[Round]:
        n_heads = len(self.reference.heads)
        if self.settings.mode == "exact":
            return [Round(n_samples, n_heads)]
        return schedule(n_samples, n_heads, head_stats.head_count(self.settings.share, n_heads))

    def _setup(self, samples: dict[str, list[Encoded]]) -> Setup:
        """How parts are measured: self-check done, budget found (or pinned by an earlier try)."""
        detection, probe = self.run.detection, samples["probe"]
        # The stack is searched under the conditions in which it will run.
        with torch.inference_mode(), freed_memory_kept(self.reference.device.type):
            ablation = self._mode(probe)
            replay = detection.replay
            if replay is None:
                check = loss_batch([max(probe, key=lambda s: s.n_tokens)], self.reference.device)
                replay = replay_is_exact(self.reference, check)
            stack = detection.stack_tokens or self.settings.stack_tokens
            if stack is None:
                announce(self.run, "detect", "Finding the batch size")
                stack = find_stack_tokens(self.reference, probe, ablation, replay=replay)
        with self._detection() as detection:
            detection.replay, detection.stack_tokens = replay, stack
        return Setup(self.run.record.model, ablation, stack, replay, samples)

    def _mode(self, samples: list[Encoded]) -> AblationMode:
        settings = self.settings
        means = mean_outputs(self.reference, samples) if settings.ablation == "mean" else None
        return AblationMode(settings.ablation, settings.epsilon, means)

    def _race(self, samples: dict[str, list[Encoded]], rounds: list[Round]) -> None:
        """Run the rounds; the last field is measured on every sample."""
        setup = self._setup(samples)
        field = self.reference.heads
        total = cost(rounds) * len(samples) + self._rest(samples, rounds)
        if self.goes_on and self.show:
            say_what_is_left(self.run, self.reference, samples["probe"], total - measured(self.run))
        with (
            Progress(
                self.run, "detect", total, unit="sample x head", show=self.show,
                phase="Ablating heads",
                ahead=noise_ahead(len(samples["probe"]), len(self.devices)),
            ) as progress,
            measuring(self.reference, setup, self.devices, print_above_bars) as measurer,
        ):  # fmt: skip
            done = 0
            for number, round_ in enumerate(rounds):
                if number:
                    field = self._narrowed(field, round_.keep, number)
                among = slice(done, None if number == len(rounds) - 1 else round_.samples)
                parts = parts_of(
                    samples, field, among, number=number, stack_tokens=setup.stack_tokens
                )
                measure_parts(
                    measurer,
                    parts,
                    samples,
                    folder=self.run.importance_dir,
                    settings_hash=self.settings.fingerprint(),
                    progress=progress,
                )
                done = round_.samples
        if measurer.stack_tokens < setup.stack_tokens:
            with self._detection() as detection:
                detection.stack_tokens_reduced = measurer.stack_tokens

    def _rest(self, samples: dict[str, list[Encoded]], rounds: list[Round]) -> int:
        """Evaluations beyond the schedule, where one set has more samples than the other."""
        return sum(len(s) - rounds[-1].samples for s in samples.values()) * rounds[-1].keep

    def _narrowed(self, field: list[Head], keep: int, number: int) -> list[Head]:
        """The ``keep`` best heads of the field on the samples of the rounds before ``number``."""
        importance = read_rounds(self.run.importance_dir, before=number)
        if self.settings.rank_by == "specificity":
            on_probe, on_contrast = (
                head_stats.relative_importance(importance, self.table, name).set_index(
                    ["layer", "head"]
                )["ratio"]
                for name in ("probe", "contrast")
            )
            estimate = on_probe - on_contrast
        else:
            table = head_stats.summarise(importance)
            estimate = table.set_index(["layer", "head"])["importance"]
        kept = survivors(estimate.reindex(pd.MultiIndex.from_tuples(field)).to_numpy(), keep)
        return [field[i] for i in kept]
