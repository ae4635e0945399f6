"""How much work a stage is, before it is begun, and about how long it takes.

An evaluation is one head ablated on one sample. With layer replay a head of layer l needs layers
l…L only, so on average an evaluation is about half a forward pass. Time comes from a short
measurement where the model is loaded; else from a run of the same model on this machine where there
is one (seconds per evaluation as measured, which holds everything), else from the tokens a CPU does
per second in a model of that size: a coarse guess. Every estimate says which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from circuitseer_core.detection.heads import SHARE, head_count
from circuitseer_core.detection.racing import cost, schedule
from circuitseer_core.errors import UserError
from circuitseer_core.json_io import read_json
from circuitseer_core.runs import ownership
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, duration

if TYPE_CHECKING:
    from circuitseer_core.detection.settings import DetectSettings
    from circuitseer_core.model.reference import ReferenceModel

CPU_TOKENS_PARAMETERS = 650 * 135e6
"""Tokens a second times parameters: 650 tokens/s with 135 M parameters in fp32 on 2 CPU threads."""

FORWARDS_PER_EVALUATION = 0.5
"""Replay runs the layers from the ablated one on: half of them on average."""

NOISE_PAIRS, NOISE_SAMPLES = 16, 8
"""Loss changes that are repeated for the noise floor, and the samples that they are of."""

TOKENS_PER_SAMPLE = 150
"""A typical worked problem with its solution; only used where nothing was measured."""


@dataclass(frozen=True)
class ModelSize:
    """Layers, heads in all, parameters (None where unknown)."""

    layers: int
    heads: int
    parameters: float | None


How = Literal["here", "before", "guess"]
_SOURCES: dict[How, str] = {
    "here": "by a short measurement",
    "before": "as measured in an earlier run on this machine",
    "guess": "a guess for 2 CPU cores",
}


@dataclass(frozen=True)
class Estimate:
    """``work``: how much, in words; ``seconds``: None where unknown; ``how`` that is known."""

    work: str
    seconds: float | None
    how: How
    evaluations: int = 0

    @property
    def words(self) -> str:
        """The estimate in a line, with no more precision than it has."""
        if self.seconds is None:
            return self.work
        return f"{self.work}, about {duration(_coarse(self.seconds))} ({_SOURCES[self.how]})"


def _coarse(seconds: float) -> float:
    """Whole minutes, then tens of minutes."""
    step = 600 if seconds > 7200 else 60 if seconds > 180 else 10
    return max(step, round(seconds / step) * step)


def model_size(model: str, runs: Iterable[Run]) -> ModelSize | None:
    """The size of ``model`` unloaded: embedded, a folder's config.json, or an earlier run."""
    if model == "demo":
        return ModelSize(30, 270, 135e6)
    config = Path(model) / "config.json"
    if config.is_file():
        try:
            return _from_config(read_json(config))
        except (UserError, TypeError, ValueError, OverflowError, AttributeError):
            return None  # loading it says what is wrong
    for run in runs:
        known = run.record.model
        if known is not None and known.id == model and known.heads_per_layer:
            heads = known.heads_per_layer
            return ModelSize(len(heads), sum(heads), known.parameters)
    return None


def evaluations(probe_size: int, heads: int, mode: str) -> int:
    """Evaluations of one set: every head on every sample, or the rounds of a race."""
    if mode == "racing":
        return cost(schedule(probe_size, heads, head_count(SHARE, heads)))
    return probe_size * heads


def detect_cost(
    size: ModelSize,
    *,
    model: str,
    probe_size: int,
    mode: str,
    contrast: bool,
    runs: Iterable[Run],
    probe_pool: int = 0,
    criterion: str = "loss",
    pass_seconds: float | None = None,
    device: str = "auto",
    devices: str | None = None,
    dtype: str = "auto",
) -> Estimate:
    """What detection with these settings takes, the clean losses of its candidates included.

    Args:
        probe_pool: how many candidates are run first where the probe is chosen by loss.
        pass_seconds: of a clean pass of one sample, where that was measured; else what ``runs``
            that were made here know of the model on the same ``device`` (or ``devices``) in the
            same ``dtype``, else a guess by its size.
    """
    sets = 2 if contrast else 1  # the contrast set runs the same rounds on as many samples
    number = evaluations(probe_size, size.heads, mode) * sets
    clean = max(probe_pool, probe_size) if criterion == "loss" else probe_size
    words = f"{count(number, 'evaluation')} (a head ablated on a sample)"
    if criterion == "loss":
        words += f" after the clean losses of {count(clean, 'candidate')} at most"
    work = _work(number, clean + probe_size * (sets - 1) + noise_passes(probe_size))
    if pass_seconds is not None:
        return Estimate(words, work * FORWARDS_PER_EVALUATION * pass_seconds, "here", number)
    for run in runs:
        alike = _ran_like(run, device, devices, dtype)
        rate = _measured(run, model) if alike else None
        if rate is not None:
            return Estimate(words, work * rate, "before", number)
    if not size.parameters:
        return Estimate(words, None, "guess", number)
    tokens = work * TOKENS_PER_SAMPLE * FORWARDS_PER_EVALUATION
    seconds = tokens * size.parameters / CPU_TOKENS_PARAMETERS
    return Estimate(words, seconds, "guess", number)


def noise_passes(samples: int) -> float:
    """The noise floor in clean passes of one sample: of twice the precision, at twice the time."""
    return 2 * (min(NOISE_SAMPLES, samples) + NOISE_PAIRS * FORWARDS_PER_EVALUATION)


def _work(evaluations: int, clean: float) -> float:
    """Evaluations, and clean passes as the evaluations that take as long."""
    return evaluations + clean / FORWARDS_PER_EVALUATION


def _ran_like(run: Run, device: str, devices: str | None, dtype: str) -> bool:
    """Whether a detection was made on this machine, where and in the numbers that are asked for.

    What was left to the machine then would be decided alike now.
    """
    settings, model = run.detection.settings, run.record.model
    if settings is None or model is None or not ownership.is_made_here(run.path):
        return False
    asked = settings.to_json()
    return (
        asked.get("devices") == devices
        and device in (asked.get("device", "auto"), model.device)
        and dtype in (asked.get("dtype", "auto"), model.dtype)
    )


def _measured(run: Run, model: str) -> float | None:
    """Seconds per evaluation in a finished detection of ``model``, its clean passes taken out."""
    detection, seconds = run.detection, run.record.seconds.get("detect")
    settings, count = detection.settings, detection.evaluations
    if settings is None or settings.model != model or not count or not seconds:
        return None
    probe = detection.n_probe or 0
    clean = probe
    if (settings.probe_criterion or "loss") == "loss":
        seen = detection.probe_pool_seen or probe
        clean = max(probe, min(settings.probe_pool or seen, seen))
    further = (probe if settings.contrast else 0) + noise_passes(probe)
    return seconds / _work(count, clean + further)


def _from_config(config: dict[str, Any]) -> ModelSize | None:
    config = config.get("text_config", config)
    layers = config.get("num_hidden_layers") or config.get("n_layer")
    heads = config.get("num_attention_heads") or config.get("n_head")
    if not layers or not heads:
        return None
    width = config.get("hidden_size") or config.get("n_embd") or 0
    # 12·width² a layer and the embedding: the textbook count, right to some tens of per cent.
    parameters = layers * 12 * width**2 + config.get("vocab_size", 0) * width
    return ModelSize(int(layers), int(layers) * int(heads), float(parameters) or None)


def seconds_ahead(
    settings: DetectSettings, reference: ReferenceModel, candidates: int, of: str
) -> Callable[[float], float]:
    """Seconds that are still to come while the clean losses of a set, ``of``, are taken.

    From the rate of clean passes a second: the ablations on all sets, the noise floor, and after
    the probe the contrast's own clean losses.
    """
    size = min(settings.probe_size, candidates)
    sets = 1 + bool(settings.contrast)
    passes = evaluations(size, len(reference.heads), settings.mode) * sets * FORWARDS_PER_EVALUATION
    passes += noise_passes(size) + (size * (sets - 1) if of == "probe" else 0)
    return lambda rate: passes / rate


def noise_ahead(samples: int, devices: int) -> Callable[[float], float]:
    """Seconds of the noise floor, which one device measures, from evaluations a second of all."""
    evaluations = noise_passes(samples) / FORWARDS_PER_EVALUATION
    return lambda rate: evaluations * max(1, devices) / rate
