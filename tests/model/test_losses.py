"""Cross-entropy from logits: the right numbers, without a second tensor of the logits' size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from circuitseer_core.errors import UserError
from circuitseer_core.model.batches import loss_batch
from circuitseer_core.model.losses import _cross_entropy, clean_losses, losses_of
from circuitseer_core.model.reference import ReferenceModel
from tests.support.loss_changes import samples
from tests.support.tiny_models import tiny_model


class _Allocations(TorchDispatchMode):
    """Counts results of at least ``numel`` elements in memory that was not there before."""

    def __init__(self, *known: Tensor, numel: int) -> None:
        super().__init__()
        self.numel, self.count = numel, 0
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and out.numel() >= self.numel:
            self.count += out.untyped_storage().data_ptr() not in self.known
        return out


def logits_and_targets() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 1000, generator=generator) * 6
    logits[2] += 90  # exp of it alone would be infinite
    return logits, torch.randint(0, 1000, (7,), generator=generator)


def test_it_is_the_cross_entropy_and_large_logits_do_not_overflow() -> None:
    logits, targets = logits_and_targets()
    want = torch.nn.functional.cross_entropy(logits.double(), targets, reduction="none")
    got = _cross_entropy(logits.clone(), targets)
    torch.testing.assert_close(got.double(), want, atol=3e-5, rtol=2e-7)
    assert float((got.double() - want).abs()[torch.arange(7) != 2].max()) < 5e-6


def test_the_logits_are_written_once() -> None:
    logits, targets = logits_and_targets()
    with _Allocations(logits, numel=logits.numel()) as ours:
        _cross_entropy(logits, targets)
    assert ours.count == 0
    logits, _ = logits_and_targets()
    with _Allocations(logits, numel=logits.numel()) as usual:
        torch.log_softmax(logits, -1)
    assert usual.count == 1, "what is counted"


def test_memory_running_out_halves_the_batch_and_changes_no_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference, batch = tiny_model("llama"), samples()
    with torch.inference_mode():
        want = clean_losses(reference, loss_batch(batch, reference.device)).numpy()
    limit = max(sample.n_tokens for sample in batch)  # one sample at a time
    true_hidden, sizes = ReferenceModel.hidden, list[int]()

    def hidden(self: ReferenceModel, ids: Tensor) -> Tensor:
        sizes.append(len(ids))
        if ids.numel() > limit:
            raise torch.OutOfMemoryError("injected")
        return true_hidden(self, ids)

    monkeypatch.setattr(ReferenceModel, "hidden", hidden)
    with torch.inference_mode():
        assert np.abs(losses_of(reference, batch) - want).max() <= 1e-5
    assert sizes[0] == len(batch) and sizes.count(1) == len(batch)
    limit = 1
    with pytest.raises(UserError, match="does not fit in memory: lower --max-length"):
        losses_of(reference, batch)
