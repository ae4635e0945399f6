"""The work of a round as parts: heads of one layer on one batch of samples.

A part is the unit of work, of resume and of what a device is given. It names samples by their place
in the probe, so it travels; what measures it (``PartMeasurer``) holds the model and the samples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from circuitseer_core.aliases import Head
from circuitseer_core.checksums import is_damaged
from circuitseer_core.detection.ablator import Ablator, Measured, batch_budget
from circuitseer_core.detection.importance_table import is_complete, part_path, write_part
from circuitseer_core.model.batches import Batch, group_by_tokens, loss_batch
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.runs.progress import Progress, say_redone

MOST_PADDING = 0.05
"""Share of a batch's positions that may be padding: every variant of the batch computes them."""
Sets = Mapping[str, Sequence[Encoded]]
"""Name of a set (probe, contrast) -> its samples, in the order of probe.parquet."""


@dataclass(frozen=True, slots=True)
class Part:
    """Heads of one layer on one batch.

    number: round of a race (0 where there is none); batch, batches: which of how many of this set
    and round; samples: places in the set; noise: a clean copy rides along, to see what the shape
    of a stack does.
    """

    set_name: str
    number: int
    batch: int
    batches: int
    samples: tuple[int, ...]
    layer: int
    heads: tuple[int, ...]
    noise: bool

    @property
    def units(self) -> int:
        """Evaluations: samples x heads."""
        return len(self.samples) * len(self.heads)

    @property
    def batch_key(self) -> tuple[str, int, int]:
        """Parts that share it share a batch, and so a clean pass."""
        return self.set_name, self.number, self.batch

    def path(self, folder: Path) -> Path:
        """Where its rows go."""
        return part_path(folder, self.set_name, self.number, self.batch, self.layer)


def parts_of(
    sets: Sets, field: Sequence[Head], among: slice, *, number: int, stack_tokens: int
) -> list[Part]:
    """The parts of one round: ``field`` on the samples ``among`` those of every set.

    Args:
        stack_tokens: of a stacked forward pass, as pinned: batches are cut by it.
    """
    by_layer: dict[int, list[int]] = defaultdict(list)
    for layer, head in field:
        by_layer[layer].append(head)
    budget = batch_budget(stack_tokens, len(field) / len(by_layer))
    first = min(by_layer)
    parts = []
    for name, samples in sets.items():
        places = range(len(samples))[among]
        groups = group_by_tokens([samples[i].n_tokens for i in places], budget, MOST_PADDING)
        for at, group in enumerate(groups):
            for layer, heads in sorted(by_layer.items()):
                parts.append(
                    Part(
                        set_name=name,
                        number=number,
                        batch=at,
                        batches=len(groups),
                        samples=tuple(places[i] for i in group),
                        layer=layer,
                        heads=tuple(heads),
                        noise=layer == first and at == 0,
                    )
                )
    return parts


class Measurer(Protocol):
    """Measures parts, in whatever order."""

    @property
    def stack_tokens(self) -> int:
        """Of a stacked forward pass, as memory has allowed so far."""
        ...

    def measured(self, parts: Sequence[Part]) -> Iterator[tuple[Part, Measured]]:
        """Every part, measured."""
        ...


class PartMeasurer:
    """Measures parts one after the other in this process."""

    def __init__(self, ablator: Ablator, sets: Sets) -> None:
        self.ablator, self.sets = ablator, sets
        self._kept: tuple[tuple[str, int, int], Batch] | None = None

    @property
    def stack_tokens(self) -> int:
        """Of a stacked forward pass, as memory has allowed so far."""
        return self.ablator.stack_tokens

    def measured(self, parts: Sequence[Part]) -> Iterator[tuple[Part, Measured]]:
        """Every part, measured."""
        for part in parts:
            yield part, self.measure(part)

    def measure(self, part: Part) -> Measured:
        """One part; the batch and its clean pass are kept for the parts that share it."""
        if self._kept is None or self._kept[0] != part.batch_key:
            samples = [self.sets[part.set_name][i] for i in part.samples]
            self._kept = part.batch_key, loss_batch(samples, self.ablator.reference.device)
        with torch.inference_mode():
            return self.ablator.measure(self._kept[1], part.layer, part.heads, noise=part.noise)


def measure_parts(
    measurer: Measurer,
    parts: Sequence[Part],
    sets: Sets,
    *,
    folder: Path,
    settings_hash: str,
    progress: Progress,
) -> None:
    """Measure and write the parts that ``folder`` does not hold yet; damaged ones are named."""
    ids = {name: [sample.id for sample in samples] for name, samples in sets.items()}
    todo, damaged = [], []
    for part in parts:
        names = [ids[part.set_name][i] for i in part.samples]
        path = part.path(folder)
        if is_complete(path, settings_hash, names, part.heads):
            progress.skip(part.units)
        else:
            todo.append(part)
            damaged += [path] if is_damaged(path) else []
    say_redone(damaged)
    for part, measured in measurer.measured(todo):
        names = [ids[part.set_name][i] for i in part.samples]
        write_part(
            part.path(folder),
            _rows(part, names, measured.delta),
            settings_hash=settings_hash,
            noise=measured.noise,
        )
        progress.advance(part.units, f"{part.set_name} batch {part.batch + 1}/{part.batches}")


def _rows(part: Part, ids: Sequence[str], delta: Tensor) -> pa.Table:
    n = part.units
    return pa.table(
        {
            "id": pa.array([*ids] * len(part.heads)),
            "set": pa.array([part.set_name] * n),
            "layer": pa.array(np.full(n, part.layer, dtype=np.int32)),
            "head": pa.array(np.repeat(np.asarray(part.heads, dtype=np.int32), len(ids))),
            "delta_loss": pa.array(delta.flatten().numpy()),
        }
    )
