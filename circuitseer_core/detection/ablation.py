"""What takes a head's place: undifferentiated attention, zero, its mean output, scaled logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from circuitseer_core.aliases import Head
from circuitseer_core.model.attention import AttentionCall, Intervention, intervening, widened
from circuitseer_core.model.batches import group_by_tokens, pad
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.memory import fitting, release, too_long
from circuitseer_core.model.reference import ReferenceModel


class Ablation(Intervention):
    """Replace the outputs of some (batch row, head) pairs, layer by layer.

    Args:
        targets: layer -> (rows, heads), two equally long index lists.
        mode: ``uniform`` (undifferentiated attention), ``zero``, ``mean`` (each head's mean output,
            from ``means``) or ``scaled`` (logits times ``epsilon``).
        epsilon: for ``scaled``.
        means: layer -> (H, Dv), for ``mean``.
    """

    def __init__(
        self,
        targets: dict[int, tuple[list[int], list[int]]],
        *,
        mode: str = "uniform",
        epsilon: float = 0.0,
        means: dict[int, Tensor] | None = None,
    ) -> None:
        self.targets = targets
        self.mode, self.epsilon, self.means = mode, epsilon, means

    def after(self, call: AttentionCall, output: Tensor) -> Tensor:
        """Replace the targets' outputs in this layer."""
        if call.layer not in self.targets:
            return output
        row_list, head_list = self.targets[call.layer]
        rows = torch.tensor(row_list, device=output.device)
        heads = torch.tensor(head_list, device=output.device)
        replaced = self._replacement(call, rows, heads).to(output.dtype)
        if output.is_inference() and not torch.is_inference_mode_enabled():
            output = output.clone()
        output[rows, :, heads] = replaced
        return output

    def _replacement(self, call: AttentionCall, rows: Tensor, heads: Tensor) -> Tensor:
        if self.mode == "uniform":
            return call.undifferentiated(rows, heads)
        length, width = call.query.shape[2], call.value.shape[3]
        if self.mode == "zero":
            return torch.zeros(len(rows), length, width, device=rows.device)
        if self.mode == "mean":
            assert self.means is not None
            means = self.means[call.layer].to(heads.device)
            return means[heads][:, None].expand(-1, length, -1)
        pattern = call.pattern(rows, heads, 0, length, self.epsilon)
        return torch.matmul(pattern, widened(call.value[rows, heads // call.group_size]))


@dataclass(frozen=True, slots=True)
class AblationMode:
    """What replaces a head's attention; see :class:`Ablation`."""

    mode: str = "uniform"
    epsilon: float = 0.0
    means: dict[int, Tensor] | None = None

    def plan_sets(self, head_sets: Sequence[Sequence[Head]], rows: int) -> Ablation:
        """The intervention on stacked copies of ``rows`` batch rows: copy v loses head set v."""
        targets: dict[int, tuple[list[int], list[int]]] = {}
        for v, heads in enumerate(head_sets):
            for layer, head in heads:
                at, which = targets.setdefault(layer, ([], []))
                at.extend(range(v * rows, (v + 1) * rows))
                which.extend([head] * rows)
        return self.plan(targets)

    def plan(self, targets: dict[int, tuple[list[int], list[int]]]) -> Ablation:
        """The intervention that ablates ``targets``: layer -> (rows, heads)."""
        return Ablation(targets, mode=self.mode, epsilon=self.epsilon, means=self.means)


class _OutputSum(Intervention):
    """Adds up head outputs over real tokens: layer -> (H, Dv), float64 on the host.

    A batch is summed in float32: not every device has float64.
    """

    def __init__(self) -> None:
        self.sums: dict[int, Tensor] = {}
        self.keep: Tensor | None = None

    def after(self, call: AttentionCall, output: Tensor) -> Tensor:
        assert self.keep is not None
        keep = self.keep.to(output.device)
        total = torch.einsum("bthd,bt->hd", output.float(), keep).cpu().double()
        self.sums[call.layer] = self.sums.get(call.layer, 0) + total
        return output


def _run_for_means(
    reference: ReferenceModel, collector: _OutputSum, samples: Sequence[Encoded]
) -> bool:
    """Add one batch to the collector's sums; True once it is done."""
    ids = pad([sample.ids for sample in samples], reference.device)
    lengths = torch.tensor([sample.n_tokens for sample in samples], device=ids.device)
    at = torch.arange(ids.shape[1], device=ids.device)
    collector.keep = (at[None, :] < lengths[:, None]).float()
    reference.hidden(ids)
    return True


def mean_outputs(
    reference: ReferenceModel, samples: Sequence[Encoded], budget: int = 4096
) -> dict[int, Tensor]:
    """Mean output of every head over all tokens of ``samples``: layer -> (H, Dv), float32."""
    collector = _OutputSum()
    n_tokens = 0
    with torch.inference_mode(), intervening(collector):
        groups = group_by_tokens([s.n_tokens for s in samples], budget)
        while groups:
            group = groups.pop(0)
            so_far = dict(collector.sums)
            if fitting(partial(_run_for_means, reference, collector, [samples[i] for i in group])):
                n_tokens += sum(samples[i].n_tokens for i in group)
                continue
            collector.sums = so_far  # some layers had been added
            release(reference.device)
            if len(group) == 1:
                raise too_long(samples[group[0]].n_tokens)
            groups[:0] = [group[: len(group) // 2], group[len(group) // 2 :]]
    return {
        layer: (total / n_tokens).float().to(reference.device)
        for layer, total in collector.sums.items()
    }
