"""Maps of all heads measured anew, on other samples or by other ablations, and how they agree.

1. A map is dL = L(head ablated) - L(clean) of every (sample, head), as stage 1 measures it, kept in
   the run folder under a name that changes with whatever the numbers depend on: an experiment that
   was stopped goes on, one that is asked again only reads.
2. Two maps agree by Spearman over heads of their mean dL, and by the share of their ``count``
   largest heads. Intervals: the estimate +- Student's t times its standard deviation over
   bootstraps of the samples (percentiles would lean to disagreement: a resampled mean is noisier
   than the mean).
3. The share is held against chance by the hypergeometric distribution, and against what two
   disjoint halves of the same map share: noise alone keeps that below 1.

Axes: n samples, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.correlation import correlation, ranks
from circuitseer_core.detection.heads import SHARE, head_count
from circuitseer_core.detection.set_overlap import shared_tops, top_of
from circuitseer_core.distributions import t95
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.comparisons import overlap_by_chance
from circuitseer_core.experiments.cost import forward_seconds
from circuitseer_core.experiments.experiment import (
    DataOptions,
    ModelDevice,
    ModelDtype,
)
from circuitseer_core.experiments.held_out import Words
from circuitseer_core.hashing import short_hash
from circuitseer_core.runs.experiments import experiments_folder
from circuitseer_core.runs.folder import Run

if TYPE_CHECKING:
    from circuitseer_core.detection.ablation import AblationMode
    from circuitseer_core.model.encoding import Encoded
    from circuitseer_core.model.reference import ReferenceModel

SPLITS = 100


class MapOptions(DataOptions):
    """Options of experiments that ablate every head on samples of their own."""

    data: Words = Field((), description="DATA, separated by commas")
    limit: int = Field(12, ge=2, description="samples at most, by hash")
    max_tokens: int | None = Field(None, ge=2, description="longer samples are left out")
    field: float = Field(
        1.0, gt=0, le=1, description="share of the heads to ablate, best first; 1 is all of them"
    )
    share: str = Field(SHARE, description="share of all heads that is a top set")
    boots: int = Field(500, ge=20, description="bootstraps of the samples")
    device: ModelDevice = "auto"
    dtype: ModelDtype = "run"
    seed: int = Field(0, description="seed of every random choice")


@dataclass(frozen=True, slots=True)
class MapJob:
    """One map to measure: ``name`` for people, samples, and what takes a head's place."""

    name: str
    samples: Sequence[Encoded]
    ablation: AblationMode

    def fingerprint(self, model: tuple[str | None, str], heads: Sequence[Head]) -> str:
        """Hash of all that the numbers depend on."""
        tokens = [(sample.id, sample.ids, sample.loss_from) for sample in self.samples]
        mode = (self.ablation.mode, self.ablation.epsilon)  # means are those of the samples
        return short_hash(repr((model, mode, tokens, list(heads))))


@dataclass(frozen=True, slots=True)
class HeadMap:
    """delta (n, H) nats of ``heads``; clean (n,) nats; ids (n,)."""

    name: str
    heads: list[Head]
    delta: Floats
    clean: Floats
    ids: list[str] = field(default_factory=list)

    @property
    def importance(self) -> Floats:
        """(H,) mean dL."""
        return np.asarray(self.delta.mean(axis=0))

    def top(self, count: int) -> list[Head]:
        """The ``count`` heads of largest importance, best first."""
        return [self.heads[i] for i in top_of(self.importance, count)]


def measure_maps(
    run: Run,
    reference: ReferenceModel,
    name: str,
    jobs: Sequence[MapJob],
    heads: Sequence[Head],
) -> list[HeadMap]:
    """Every job's map over ``heads``; what RUN/experiments/``name``-HASH/ holds is not redone.

    Raises:
        UserError: one sample is more than memory holds.
    """
    from circuitseer_core.detection.importance_table import is_merged, merge_parts

    model = (run.model.weights_hash, str(reference.dtype))
    marks = [job.fingerprint(model, heads) for job in jobs]
    folder = experiments_folder(run) / f"{name}-{short_hash(*marks)}"
    if not is_merged(folder):
        _measure(run, reference, folder, name, jobs, marks, heads)
    merge_parts(folder)
    return [
        _read(folder, job, at, _clean_losses(reference, job.samples)) for at, job in enumerate(jobs)
    ]


def maps_seconds(run: Run, samples: int, share: float, max_tokens: int | None) -> float:
    """About what maps over ``samples`` take: half a forward pass a sample and head, on average."""
    tokens = float(run.probe()["n_tokens"].mean())
    tokens = tokens if max_tokens is None else min(tokens, max_tokens)
    return forward_seconds(run, 0.5 * samples * share * len(run.heads()) * tokens)


def best_heads(run: Run, share: float) -> list[Head]:
    """The ``share`` of the run's heads of largest importance, best first.

    Raises:
        UserError: no detection yet.
    """
    table = run.heads().sort_values("rank")
    kept = table.head(head_count(str(share), len(table)))
    return [(int(a), int(b)) for a, b in zip(kept["layer"], kept["head"], strict=True)]


def top_size(share: str, everyone: int, measured: int) -> int:
    """How many heads are a top set: a share of all heads, fewer than are measured.

    Raises:
        UserError: so few are measured that there is nothing to choose from.
    """
    if measured < 2:
        raise UserError("fewer than two heads are measured: a larger field is needed")
    return min(head_count(share, everyone), measured - 1)


def _measure(
    run: Run,
    reference: ReferenceModel,
    folder: Path,
    name: str,
    jobs: Sequence[MapJob],
    marks: Sequence[str],
    heads: Sequence[Head],
) -> None:
    import torch

    from circuitseer_core.detection.ablator import Ablator
    from circuitseer_core.detection.parts import PartMeasurer, measure_parts, parts_of
    from circuitseer_core.detection.replay import replay_is_exact
    from circuitseer_core.model.batches import loss_batch
    from circuitseer_core.model.memory import freed_memory_kept
    from circuitseer_core.runs.progress import Progress

    stack = stack_tokens(run, reference)
    total = sum(len(job.samples) for job in jobs) * len(heads)
    with (
        Progress(run, name, total, unit="sample x head", phase="Ablating heads") as progress,
        freed_memory_kept(reference.device.type),
    ):
        for at, (job, mark) in enumerate(zip(jobs, marks, strict=True)):
            with torch.inference_mode():
                first = loss_batch(job.samples[:1], reference.device)
                replay = replay_is_exact(reference, first)
            ablator = Ablator(reference, job.ablation, stack_tokens=stack, replay=replay)
            sets = {_set_name(at): job.samples}
            measure_parts(
                PartMeasurer(ablator, sets),
                parts_of(sets, sorted(heads), slice(None), number=0, stack_tokens=stack),
                sets,
                folder=folder,
                settings_hash=mark,
                progress=progress,
            )


def stack_tokens(run: Run, reference: ReferenceModel) -> int:
    """Tokens of a stack as detection found them: batches must not depend on today's timing."""
    from circuitseer_core.detection.ablator import STACK_RANGE

    known = run.detection.stack_tokens
    return known or STACK_RANGE.get(reference.device.type, STACK_RANGE["cuda"])[0]


def _set_name(at: int) -> str:
    return f"map{at:02d}"


def _read(folder: Path, job: MapJob, at: int, clean: Floats) -> HeadMap:
    from circuitseer_core.detection.importance_table import delta_matrix

    ids, heads, delta = delta_matrix(folder, _set_name(at))
    wanted = [sample.id for sample in job.samples]
    return HeadMap(job.name, heads, delta[ids.get_indexer(wanted)], clean, wanted)


def _clean_losses(reference: ReferenceModel, samples: Sequence[Encoded]) -> Floats:
    from circuitseer_core.detection.joint import joint_loss

    return joint_loss(reference, samples, [])[0]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two maps agree: Spearman over heads, and the share of the top ``count`` of each.

    Lows and highs are 95 % intervals over samples; ``chance`` is the share of two random sets and
    ``p`` the probability of sharing as many by chance.
    """

    spearman: float
    spearman_low: float
    spearman_high: float
    shared: int
    count: int
    overlap: float
    overlap_low: float
    overlap_high: float
    chance: float
    p: float

    def to_json(self) -> dict[str, Any]:
        """For an experiment's numbers and table."""
        return asdict(self)


def agreement(
    one: Floats, other: Floats, count: int, *, paired: bool, boots: int = 500, seed: int = 0
) -> Agreement:
    """Agreement of two maps (n, H) and (m, H) of the same heads.

    Args:
        count: heads of a top set.
        paired: whether rows are the same samples, to be resampled together.
    """
    rng = np.random.default_rng(seed)
    width = one.shape[1]
    rho, overlap = compared(one.mean(axis=0), other.mean(axis=0), count)
    drawn = np.empty((boots, 2))
    for b in range(boots):
        rows = rng.integers(len(one), size=len(one))
        rows_of_other = rows if paired else rng.integers(len(other), size=len(other))
        drawn[b] = compared(one[rows].mean(axis=0), other[rows_of_other].mean(axis=0), count)
    spread = np.nanstd(drawn, axis=0, ddof=1) * float(t95(min(len(one), len(other))))
    shared = round(overlap * count)
    return Agreement(
        spearman=rho,
        spearman_low=max(-1.0, rho - spread[0]),
        spearman_high=min(1.0, rho + spread[0]),
        shared=shared,
        count=count,
        overlap=overlap,
        overlap_low=max(0.0, overlap - spread[1]),
        overlap_high=min(1.0, overlap + spread[1]),
        chance=count / width,
        p=overlap_by_chance(shared, count, width),
    )


def compared(one: Floats, other: Floats, count: int) -> tuple[float, float]:
    """Spearman of two maps (H,), and the share of their ``count`` largest heads in common."""
    rho = correlation(ranks(one), ranks(other))
    return rho, float(shared_tops(one[None], other[None], count)[0])


def halves_agree(delta: Floats, count: int, seed: int = 0) -> tuple[float, float]:
    """Mean Spearman and mean shared top of two disjoint halves of one map, over random splits.

    NaN for fewer than two samples a half.
    """
    n = len(delta)
    if n < 4:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    agreements = []
    for _ in range(SPLITS):
        order = rng.permutation(n)
        one, other = (delta[part].mean(axis=0) for part in (order[: n // 2], order[-(n // 2) :]))
        agreements.append(compared(one, other, count))
    return tuple(np.mean(agreements, axis=0).tolist())


def relabelled_chance(one: Floats, other: Floats, *, times: int = 1000, seed: int = 0) -> float:
    """Chance that maps of samples dealt at random into the same two groups agree as little.

    Small where the two groups of samples need different heads: a permutation test of Spearman.
    """
    rng = np.random.default_rng(seed)
    together, n = np.concatenate([one, other]), len(one)
    observed = correlation(ranks(one.mean(axis=0)), ranks(other.mean(axis=0)))
    lower = 0
    for _ in range(times):
        order = rng.permutation(len(together))
        left, right = (together[part].mean(axis=0) for part in (order[:n], order[n:]))
        lower += correlation(ranks(left), ranks(right)) <= observed + 1e-12
    return (1 + lower) / (1 + times)
