"""Every head's mean output over a dataset, for the ``mean`` ablation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from circuitseer_core.attention import AttentionCall, Intervention, intervening
from circuitseer_core.batches import Encoded, group_by_tokens, pad
from circuitseer_core.model import ReferenceModel


class _OutputSum(Intervention):
    """Adds up head outputs over real tokens: layer -> (H, Dv), float64."""

    def __init__(self) -> None:
        self.sums: dict[int, Tensor] = {}
        self.keep: Tensor | None = None

    def after(self, call: AttentionCall, output: Tensor) -> Tensor:
        assert self.keep is not None
        total = torch.einsum("bthd,bt->hd", output.double(), self.keep)
        self.sums[call.layer] = self.sums.get(call.layer, 0) + total
        return output


def mean_outputs(
    reference: ReferenceModel, samples: Sequence[Encoded], budget: int = 4096
) -> dict[int, Tensor]:
    """Mean output of every head over all tokens of ``samples``: layer -> (H, Dv), float32."""
    collector = _OutputSum()
    n_tokens = 0
    with torch.inference_mode(), intervening(collector):
        for group in group_by_tokens([s.n_tokens for s in samples], budget):
            ids = pad([samples[i].ids for i in group], reference.device)
            lengths = torch.tensor([samples[i].n_tokens for i in group], device=ids.device)
            at = torch.arange(ids.shape[1], device=ids.device)
            collector.keep = (at[None, :] < lengths[:, None]).double()
            reference.hidden(ids)
            n_tokens += int(lengths.sum())
    return {layer: (total / n_tokens).float() for layer, total in collector.sums.items()}
