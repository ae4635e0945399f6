"""Encoded samples, grouped into right-padded batches by a token budget.

Batches are cut from length-sorted samples, so that padding is small, and depend on nothing but
the lengths and the budget: a resumed run with the pinned budget sees the very same batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from circuitseer_core.model.encoding import Encoded


@dataclass(frozen=True, slots=True)
class Batch:
    """B samples, right-padded to T tokens; n loss positions over all of them.

    Shapes: ids (B, T); rows, positions, targets (n,): the logits of sample ``rows[k]`` at
    ``positions[k]`` predict ``targets[k]``; counts (B,) loss tokens a sample, float64.
    """

    sample_ids: list[str]
    ids: Tensor
    rows: Tensor
    positions: Tensor
    targets: Tensor
    counts: Tensor
    lengths: list[int]

    @property
    def size(self) -> int:
        """B, the number of samples."""
        return self.ids.shape[0]

    def halves(self) -> tuple[Batch, Batch]:
        """The batch in two, for when memory does not hold it whole."""
        middle = self.size // 2
        return self._slice(0, middle), self._slice(middle, self.size)

    def _slice(self, start: int, stop: int) -> Batch:
        inside = (self.rows >= start) & (self.rows < stop)
        lengths = self.lengths[start:stop]
        return Batch(
            sample_ids=self.sample_ids[start:stop],
            ids=self.ids[start:stop, : max(lengths)],
            rows=self.rows[inside] - start,
            positions=self.positions[inside],
            targets=self.targets[inside],
            counts=self.counts[start:stop],
            lengths=lengths,
        )


def group_by_tokens(
    lengths: Sequence[int], budget: int, most_padding: float = 1.0
) -> list[list[int]]:
    """Indices grouped so that (longest in group) x (group size) <= budget, shortest first.

    A sample longer than the budget makes a group of its own. Ties keep their order.

    Args:
        most_padding: share of a group's positions that may be padding.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    groups: list[list[int]] = []
    tokens = 0  # of the last group, without padding
    for index in order:
        positions = lengths[index] * (len(groups[-1]) + 1) if groups else 0
        padding = positions - tokens - lengths[index]
        if groups and positions <= budget and padding <= most_padding * positions:
            groups[-1].append(index)
            tokens += lengths[index]
        else:
            groups.append([index])
            tokens = lengths[index]
    return groups


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on its way to a device. Towards CUDA the host does not wait for it.

    From ordinary memory a larger copy would wait until the batch before it is computed.
    """
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def pad(sequences: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Right-pad to (B, T) with 0: under causal attention no real token sees the padding."""
    longest = max(len(s) for s in sequences)
    ids = torch.zeros(len(sequences), longest, dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
    return moved(ids, device)


def loss_batch(samples: Sequence[Encoded], device: torch.device) -> Batch:
    """Stack encoded samples for a loss computation."""
    ids = pad([s.ids for s in samples], device)
    rows: list[int] = []
    positions: list[int] = []
    targets: list[int] = []
    for row, sample in enumerate(samples):
        rows.extend([row] * sample.n_loss_tokens)
        positions.extend(range(sample.loss_from - 1, sample.n_tokens - 1))
        targets.extend(sample.ids[sample.loss_from :])
    return Batch(
        sample_ids=[s.id for s in samples],
        ids=ids,
        rows=moved(torch.tensor(rows), device),
        positions=moved(torch.tensor(positions), device),
        targets=moved(torch.tensor(targets), device),
        counts=torch.tensor([s.n_loss_tokens for s in samples], dtype=torch.float64),
        lengths=[s.n_tokens for s in samples],
    )
