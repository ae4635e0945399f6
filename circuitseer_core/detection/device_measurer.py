"""Parts measured on several devices at once, by a worker process each.

Every worker loads the run's model, holds the samples, and does what one process does for a part
(``PartMeasurer``), with the same pinned batches and stacks: on like devices the numbers are equal
to the bit. A round of a race ends when all its parts have come back, so it narrows the same field.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch

from circuitseer_core.detection.ablation import AblationMode
from circuitseer_core.detection.ablator import Ablator, Measured
from circuitseer_core.detection.parts import Measurer, Part, PartMeasurer, Sets
from circuitseer_core.model.device_pool import DevicePool
from circuitseer_core.model.loading import load_run_model
from circuitseer_core.model.memory import freed_memory_kept, release
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.records import ModelRecord


@dataclass(frozen=True, slots=True)
class Setup:
    """How parts are measured. model: what a worker loads; None for one that Python handed over."""

    model: ModelRecord | None
    ablation: AblationMode
    stack_tokens: int
    replay: bool
    sets: Sets


class DeviceMeasurer:
    """Measures parts on all devices of a pool.

    Attributes:
        stack_tokens: the smallest stack that a worker came down to when memory ran out.
    """

    def __init__(self, pool: DevicePool, setup: Setup) -> None:
        self.pool, self.stack_tokens = pool, setup.stack_tokens

    def measured(self, parts: Sequence[Part]) -> Iterator[tuple[Part, Measured]]:
        """Every part, measured, in the order in which they are done."""
        for part, (delta, noise, stack_tokens) in self.pool.run(PartQueue(parts)):
            self.stack_tokens = min(self.stack_tokens, stack_tokens)
            yield part, Measured(torch.from_numpy(delta), noise)


@contextmanager
def measuring(
    reference: ReferenceModel, setup: Setup, devices: Sequence[str], say: Callable[[str], None]
) -> Iterator[Measurer]:
    """What measures parts: ``reference`` in this process, or a worker on each of several devices.

    Args:
        say: gets a line when a worker is gone.
    """
    if len(devices) > 1:
        service = partial(_serve, _travelling(setup))
        with lent_out(reference), DevicePool(devices, service, say) as pool:
            yield DeviceMeasurer(pool, setup)
        return
    ablator = Ablator(
        reference, setup.ablation, stack_tokens=setup.stack_tokens, replay=setup.replay
    )
    with freed_memory_kept(reference.device.type):
        yield PartMeasurer(ablator, setup.sets)


def _travelling(setup: Setup) -> Setup:
    """The same with its tensors on the CPU."""
    means = setup.ablation.means
    if means is None:
        return setup
    means = {layer: mean.cpu() for layer, mean in means.items()}
    return replace(setup, ablation=replace(setup.ablation, means=means))


@contextmanager
def lent_out(reference: ReferenceModel) -> Iterator[None]:
    """Leave a model's device to a worker inside the block; the weights wait on the CPU.

    Quantised weights stay where they are: they cannot be moved.
    """
    device = reference.device
    if getattr(reference.model, "is_quantized", False):
        yield
        return
    reference.model.to("cpu")
    release(device)
    try:
        yield
    finally:
        reference.model.to(device)


def _serve(
    setup: Setup, device: str, tasks: Iterator[Part], tell: Callable[[int], None]
) -> Iterator[tuple[object, list[float], int]]:
    """What a worker does: see device_worker. Delta (H, B), noise, and the stack it came down to."""
    assert setup.model is not None  # workers are for a model that they can load
    reference = load_run_model(setup.model, setup.model.dtype, device)
    ablation, means = setup.ablation, setup.ablation.means
    if means is not None:
        there = {layer: mean.to(reference.device) for layer, mean in means.items()}
        ablation = replace(ablation, means=there)
    ablator = Ablator(reference, ablation, stack_tokens=setup.stack_tokens, replay=setup.replay)
    measurer = PartMeasurer(ablator, setup.sets)
    with freed_memory_kept(reference.device.type):
        for part in tasks:
            measured = measurer.measure(part)
            yield measured.delta.numpy(), measured.noise, ablator.stack_tokens


class PartQueue:
    """Who gets which part: a worker stays with a batch, whose clean pass it keeps.

    Its batch done, it takes one that nobody is at, and then the last layers (the cheapest) of the
    batch of which most is left.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._left: dict[tuple[str, int, int], deque[Part]] = {}
        for part in parts:
            self._left.setdefault(part.batch_key, deque()).append(part)
        self._at: dict[int, tuple[str, int, int]] = {}

    def take(self, worker: int) -> Part | None:
        """The next part for a worker; None where none is left."""
        at = self._at.get(worker)
        if at is not None and self._left[at]:
            return self._left[at].popleft()
        open_batches = [key for key, parts in self._left.items() if parts]
        if not open_batches:
            return None
        taken = set(self._at.values())
        free = next((key for key in open_batches if key not in taken), None)
        self._at[worker] = free or max(open_batches, key=lambda key: len(self._left[key]))
        parts = self._left[self._at[worker]]
        return parts.popleft() if free else parts.pop()

    def put_back(self, task: Part) -> None:
        """A part whose worker died: whoever is at its batch takes it next."""
        self._left[task.batch_key].appendleft(task)
