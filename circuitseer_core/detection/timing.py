"""A short measurement of a loaded model: what a clean pass of one sample takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import torch

from circuitseer_core.detection.cost import (
    FORWARDS_PER_EVALUATION,
    Estimate,
    ModelSize,
    detect_cost,
)
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.losses import losses_of
from circuitseer_core.model.memory import fitting, release
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import announce, print_above_bars
from circuitseer_core.wording import count

_POOL_BATCH_TOKENS = {"cpu": 1024, "cuda": 32_768}
LONG_ENOUGH_S = 1.0
"""A single sample that takes this long says enough."""


def pool_budget(reference: ReferenceModel) -> int:
    """Tokens of a batch of clean losses."""
    return _POOL_BATCH_TOKENS.get(reference.device.type, _POOL_BATCH_TOKENS["cuda"])


def pass_seconds(reference: ReferenceModel, samples: Sequence[Encoded], budget: int) -> float:
    """Seconds of a clean pass for one of ``samples``, on average; at most a few seconds are spent.

    One sample of typical length warms the model up; where that is quick, a batch of ``budget``
    tokens of them is timed. Time is taken to be proportional to tokens.
    """
    ordered = sorted(samples, key=lambda sample: sample.n_tokens)
    middle = len(ordered) // 2
    several = max(1, budget // ordered[middle].n_tokens)
    around = ordered[max(0, middle - several // 2) :][:several]
    mean = sum(sample.n_tokens for sample in samples) / len(samples)
    seconds, tokens = _timed(reference, [ordered[middle]])
    if seconds < LONG_ENOUGH_S:
        batch = fitting(partial(_timed, reference, around))
        if batch is None:
            release(reference.device)
        seconds, tokens = batch or (seconds, tokens)
    return seconds / tokens * mean


def estimate(
    reference: ReferenceModel, settings: DetectSettings, samples: Sequence[Encoded], budget: int
) -> Estimate:
    """What a detection takes whose probe is chosen from these candidates."""
    counts = reference.heads_per_layer
    return detect_cost(
        ModelSize(len(counts), sum(counts), None),
        model=settings.model,
        probe_size=min(settings.probe_size, len(samples)),
        mode=settings.mode,
        contrast=bool(settings.contrast),
        runs=(),
        probe_pool=len(samples),
        criterion=settings.probe_criterion,
        pass_seconds=pass_seconds(reference, samples, budget),
    )


def say_how_long(
    run: Run,
    settings: DetectSettings,
    reference: ReferenceModel,
    samples: Sequence[Encoded],
    show: bool,
) -> float | None:
    """Estimate the stage's time in seconds from a short measurement, and show it."""
    announce(run, "detect", "Measuring the speed")
    expected = estimate(reference, settings, samples, pool_budget(reference))
    if show:
        print_above_bars(expected.words)
    return expected.seconds and round(expected.seconds, 1)


def say_what_is_left(
    run: Run, reference: ReferenceModel, samples: Sequence[Encoded], evaluations: int
) -> None:
    """Show what a detection takes that goes on with so many evaluations on these samples."""
    if evaluations <= 0:
        return
    announce(run, "detect", "Measuring the speed")
    one = pass_seconds(reference, samples, pool_budget(reference))
    words = f"{count(evaluations, 'evaluation')} left (a head ablated on a sample)"
    seconds = evaluations * FORWARDS_PER_EVALUATION * one
    print_above_bars(Estimate(words, seconds, "here", evaluations).words)


def _timed(reference: ReferenceModel, samples: Sequence[Encoded]) -> tuple[float, int]:
    """Seconds and tokens of one batch, done to its end."""
    with torch.inference_mode():
        began = time.perf_counter()
        losses_of(reference, samples)
        seconds = time.perf_counter() - began
    return seconds, sum(sample.n_tokens for sample in samples)
