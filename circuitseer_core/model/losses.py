"""Cross-entropy in nats at the loss positions alone, a chunk of logits at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from circuitseer_core.aliases import Floats
from circuitseer_core.model.batches import Batch, loss_batch
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.memory import in_halves
from circuitseer_core.model.reference import ReferenceModel

LOGIT_BYTES = {"cpu": 64 * 2**20, "cuda": 2**30}
"""Most memory one chunk of float32 logits may take."""


def token_losses(reference: ReferenceModel, hidden: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats of each target, (n,) float32, from final hidden states (n, d).

    (float64 from states in float64.) Logits exist for one chunk at a time: never a (batch, T,
    vocabulary) tensor.
    """
    vocab = reference.model.get_output_embeddings().weight.shape[0]
    limit = LOGIT_BYTES.get(hidden.device.type, LOGIT_BYTES["cuda"])
    rows = max(1, limit // (4 * vocab))
    wide = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    out = torch.empty(len(targets), dtype=wide, device=hidden.device)
    for start in range(0, len(targets), rows):
        stop = min(start + rows, len(targets))
        out[start:stop] = _cross_entropy(reference.logits(hidden[start:stop]), targets[start:stop])
    return out


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """log sum exp of each row minus its target's logit, (n,); the logits (n, V) are used up.

    In their own memory: ``torch.logsumexp`` would write a second tensor of their size.
    """
    chosen = logits.gather(1, targets[:, None])[:, 0]
    highest = logits.amax(-1, keepdim=True)
    total = logits.sub_(highest).exp_().sum(-1)
    return total.log_().add_(highest[:, 0]).sub_(chosen)


def sample_losses(reference: ReferenceModel, hidden: Tensor, batch: Batch) -> Tensor:
    """Mean loss of every sample in every variant: (V, B) float64 from hidden (V*B, T, d).

    Summed on the host: not every device has float64.
    """
    variants = hidden.shape[0] // batch.size
    picked = hidden.unflatten(0, (variants, batch.size))[:, batch.rows, batch.positions]
    losses = token_losses(reference, picked.flatten(0, 1), batch.targets.repeat(variants))
    sums = torch.zeros(variants, batch.size, dtype=torch.float64)
    sums.index_add_(1, batch.rows.cpu(), losses.view(variants, -1).cpu().double())
    return sums / batch.counts


def clean_losses(reference: ReferenceModel, batch: Batch) -> Tensor:
    """Mean clean loss of every sample, (B,) float64 nats."""
    return sample_losses(reference, reference.hidden(batch.ids), batch)[0]


def losses_of(reference: ReferenceModel, samples: Sequence[Encoded]) -> Floats:
    """Mean clean loss of every sample, (n,) nats, in one batch or in as many as memory asks for.

    Raises UserError where it does not hold one sample.
    """

    def losses(some: Sequence[Encoded]) -> Floats:
        return clean_losses(reference, loss_batch(some, reference.device)).numpy()

    parts = in_halves(samples, losses, reference.device, lambda sample: sample.n_tokens)
    return np.concatenate([part for _, part in parts])
