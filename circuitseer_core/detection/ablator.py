"""Measure loss changes of one layer's heads on one batch of samples, within memory.

Stacks of variants are cut by a token budget that is found by timing (larger is not better on a CPU,
whose caches it leaves) and halves when memory runs out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from circuitseer_core.detection.ablation import AblationMode
from circuitseer_core.detection.replay import CleanPass, run_clean, variant_losses
from circuitseer_core.model.batches import Batch, loss_batch
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.memory import fitting, release, too_long
from circuitseer_core.model.reference import ReferenceModel

STACK_RANGE = {"cpu": (512, 4096), "cuda": (8192, 524288)}
"""Smallest and largest stack, in tokens, that the search for a budget tries."""
_GAIN = 1.03


@dataclass(frozen=True, slots=True)
class Measured:
    """One (batch, layer): delta (H, B) nats; noise: clean copies minus the clean pass."""

    delta: Tensor
    noise: list[float]


class Ablator:
    """Ablates heads of one reference model on batches of samples.

    Attributes:
        stack_tokens: tokens in one stacked forward pass; halves on out-of-memory.
    """

    def __init__(
        self,
        reference: ReferenceModel,
        ablation: AblationMode,
        *,
        stack_tokens: int,
        replay: bool = True,
    ) -> None:
        self.reference = reference
        self.ablation = ablation
        self.stack_tokens = stack_tokens
        self.replay = replay
        self._kept: tuple[Batch, CleanPass] | None = None

    def measure(self, batch: Batch, layer: int, heads: Sequence[int], *, noise: bool) -> Measured:
        """Loss changes of ``heads`` of ``layer``; splits a batch that does not fit.

        With ``noise`` the first stack carries a clean copy, to see what the batch's shape does.
        """
        measured = fitting(lambda: self._measure(batch, layer, heads, noise=noise))
        if measured is not None:
            return measured
        release(self.reference.device)
        if batch.size == 1:
            raise too_long(batch.lengths[0])
        self._kept = None  # the whole batch's states
        halves = [self.measure(h, layer, heads, noise=noise) for h in batch.halves()]
        return Measured(
            torch.cat([h.delta for h in halves], 1), [n for h in halves for n in h.noise]
        )

    def clean(self, batch: Batch) -> CleanPass:
        """The clean pass of a batch, kept until another batch asks."""
        if self._kept is None or self._kept[0] is not batch:
            self._kept = None
            self._kept = (batch, run_clean(self.reference, batch, keep_inputs=self.replay))
        return self._kept[1]

    def _measure(self, batch: Batch, layer: int, heads: Sequence[int], *, noise: bool) -> Measured:
        clean = self.clean(batch)
        deltas: list[Tensor] = []
        spread: list[float] = []
        todo = list(heads)
        while todo:
            with_clean = noise and not deltas
            room = max(1, self.stack_tokens // batch.ids.numel() - with_clean)
            stack: list[int | None] = [*([None] if with_clean else []), *todo[:room]]
            losses = fitting(
                partial(
                    variant_losses,
                    self.reference,
                    batch,
                    clean if self.replay else None,
                    layer,
                    stack,
                    self.ablation,
                )
            )
            if losses is None:
                release(self.reference.device)
                if room == 1:
                    raise torch.OutOfMemoryError(f"one variant of {batch.ids.numel()} tokens")
                self._halve(batch)
                continue
            if with_clean:
                spread.extend((losses[0] - clean.losses).tolist())
            deltas.append(losses[int(with_clean) :] - clean.losses)
            todo = todo[room:]
        return Measured(torch.cat(deltas), spread)

    def _halve(self, batch: Batch) -> None:
        self.stack_tokens = max(batch.ids.numel(), min(self.stack_tokens, 2**30) // 2)


def find_stack_tokens(
    reference: ReferenceModel,
    samples: Sequence[Encoded],
    ablation: AblationMode,
    *,
    replay: bool = True,
) -> int:
    """The stack size, in tokens, of highest throughput on this machine; found by doubling.

    Stops at the first doubling that gains less than 3 %, or that does not fit (then half of what
    fitted is kept as headroom for longer samples).
    """
    smallest, largest = STACK_RANGE.get(reference.device.type, STACK_RANGE["cuda"])
    ordered = sorted(samples, key=lambda s: s.n_tokens)
    batch = loss_batch([ordered[len(ordered) // 2]], reference.device)
    layers = [i for i, n in enumerate(reference.heads_per_layer) if n]
    layer = layers[len(layers) // 2]
    ablator = Ablator(reference, ablation, stack_tokens=largest, replay=replay)
    best, best_rate, size = smallest, 0.0, smallest
    while size <= largest:
        copies = max(1, size // batch.ids.numel())
        rate = fitting(partial(_rate, ablator, batch, layer, copies))
        if rate is None:
            release(reference.device)
            return max(smallest, best // 2)
        if rate < best_rate * _GAIN:
            break
        best, best_rate, size = size, rate, size * 2
    return best


def _rate(ablator: Ablator, batch: Batch, layer: int, copies: int) -> float:
    """Stacked tokens a second, best of two after the clean pass."""
    clean = ablator.clean(batch) if ablator.replay else None
    stack: list[int | None] = [0] * copies
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        variant_losses(ablator.reference, batch, clean, layer, stack, ablator.ablation)
        seconds.append(time.perf_counter() - began)
    return copies * batch.ids.numel() / min(seconds)


def batch_budget(stack_tokens: int, heads_per_layer: float) -> int:
    """Tokens of a sample batch such that a stack holds a layer's variants and a clean copy."""
    return max(1, int(stack_tokens / (heads_per_layer + 1)))
