"""Attention profiles of chosen heads, observed during a plain forward pass.

For one sample of T tokens and a group of heads H (arXiv 2510.18470):

1. The body runs as ever (SDPA, no LM head). At a layer with observed heads, and for those heads
   only, softmax rows are recomputed in float32 from the layer's own queries and keys, in blocks of
   queries; a block of queries i meets keys j <= i only.
2. Each block is summed over its real queries and added to the profile
   m_j = (1/T) sum_i mean_{h in H} A^h_ij. So memory is O(T x block) a head, never T x T.
3. Along with it goes the profile w_j that the same heads would have if each query attended
   uniformly over the keys it may see. Under a plain causal mask w_j = (1/T) sum_{i>=j} 1/i, a
   closed form; else (sliding windows) it is summed from the mask, once for all layers alike.
4. The forward pass ends at the deepest observed layer, before that layer's own attention.

Several groups (the reasoning heads and their random controls) share one pass.
Axes: B samples, n heads observed in a layer, G groups, T tokens, q queries of a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from circuitseer_core.aliases import Head
from circuitseer_core.model.attention import AttentionCall, Intervention, StopForward, intervening
from circuitseer_core.model.reference import ReferenceModel

BLOCK_BYTES = {"cpu": 4 * 2**20, "cuda": 256 * 2**20}
"""Most memory one block of float32 softmax rows may take."""
MIN_BLOCK = 16


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """Heads to observe in one layer: ``heads`` (n,) and their ``weights`` (G, n) in each group."""

    heads: Tensor
    weights: Tensor


class HeadPlan:
    """Which heads to observe where, as tensors on the model's device.

    Args:
        groups: G groups of (layer, head); a group's profile is the mean over its heads. A head may
            be in several groups and is observed once.
        alone: heads to observe each by itself (see head_features.py); they may be in groups too.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Head]],
        device: torch.device,
        *,
        alone: Sequence[Head] = (),
    ) -> None:
        if not groups or any(len(group) == 0 for group in groups):
            raise ValueError("every group needs at least one head")
        self.groups = [list(group) for group in groups]
        self.alone = list(alone)
        self.layers: dict[int, LayerPlan] = {}
        wanted = {*self.alone, *(head for group in groups for head in group)}
        for layer in sorted({layer for layer, _ in wanted}):
            heads = sorted(h for at, h in wanted if at == layer)
            weights = torch.zeros(len(groups), len(heads))
            for g, group in enumerate(groups):
                for at, head in group:
                    if at == layer:
                        weights[g, heads.index(head)] += 1 / len(group)
            self.layers[layer] = LayerPlan(torch.tensor(heads, device=device), weights.to(device))

    @property
    def deepest(self) -> int:
        """The last layer that has to be reached."""
        return max(self.layers)


@dataclass(frozen=True, slots=True)
class Profiles:
    """(B, G, T) float32 each: observed and undifferentiated profiles; 0 behind a sample's end.

    Every ``flat[b, g]`` sums to 1, and so does every ``observed[b, g]`` (to less in models with a
    learned sink). ``heads``: (B, F, H) readings of the heads that are observed alone, or None.
    """

    observed: Tensor
    flat: Tensor
    heads: Tensor | None = None


class ProfileObserver(Intervention):
    """Adds up the profiles of one batch, layer by layer.

    Args:
        plan: the groups of heads.
        lengths: (B,) real tokens of each right-padded row, on the model's device.
        width: T.
        stop: end the forward pass (:class:`StopForward`) once the deepest observed layer is seen.
        block_bytes: most memory of one block of rows; None for the device's default.
    """

    def __init__(
        self,
        plan: HeadPlan,
        lengths: Tensor,
        width: int,
        *,
        stop: bool = True,
        block_bytes: int | None = None,
    ) -> None:
        self.plan, self.lengths, self.stop = plan, lengths, stop
        shape = (len(lengths), len(plan.groups), width)
        self._sums = torch.zeros(shape, device=lengths.device)
        self._flat_sums = torch.zeros(shape, device=lengths.device)
        self._valid = (torch.arange(width, device=lengths.device) < lengths[:, None]).float()
        self._flat_seen: list[tuple[Tensor | None, Tensor]] = []
        self._block_bytes = block_bytes

    def before(self, call: AttentionCall) -> None:
        """Add one layer; raise StopForward at the deepest."""
        layer = self.plan.layers.get(call.layer)
        if layer is not None:
            here = call.on(self.lengths.device)
            self._observe(here, layer)
            flat = self._flat_profile(here, moved=here is not call)  # (B, T)
            self._flat_sums += layer.weights.sum(1)[None, :, None] * flat[:, None]
            self._observed(call.layer, flat)
        if self.stop and call.layer >= self.plan.deepest:
            raise StopForward

    def profiles(self) -> Profiles:
        """The batch's profiles, once the forward pass is over."""
        tokens = self.lengths[:, None, None].float()
        return Profiles(self._sums / tokens, self._flat_sums / tokens)

    def _observe(self, call: AttentionCall, layer: LayerPlan) -> None:
        size, width = self._valid.shape
        n = len(layer.heads)
        rows = torch.arange(size, device=layer.heads.device).repeat_interleave(n)  # (B*n,)
        heads = layer.heads.repeat(size)
        block = self._block(size * n, width, call.query.device.type)
        for start in range(0, width, block):
            stop = min(start + block, width)
            pattern = call.pattern(rows, heads, start, stop)  # (B*n, q, stop)
            real = self._valid[rows, None, start:stop]  # (B*n, 1, q)
            received = torch.matmul(real, pattern).view(size, n, stop)
            self._sums[..., :stop] += torch.matmul(layer.weights, received)
            self._block_seen(pattern, real, received, start)

    def _block_seen(self, pattern: Tensor, real: Tensor, received: Tensor, start: int) -> None:
        """Look at one block of rows; ``pattern`` may be overwritten."""

    def _observed(self, layer: int, flat: Tensor) -> None:
        """Look at a layer whose blocks are all seen; ``flat`` (B, T) as in _flat_profile."""

    def _block(self, pairs: int, width: int, device: str) -> int:
        limit = self._block_bytes or BLOCK_BYTES.get(device, BLOCK_BYTES["cuda"])
        return max(MIN_BLOCK, min(width, limit // (4 * pairs * width)))

    def _flat_profile(self, call: AttentionCall, *, moved: bool) -> Tensor:
        """(B, T): T times w of one head under this layer's mask, which layers of a kind share.

        Args:
            moved: the mask is a copy from another device, of which every layer has its own.
        """
        for mask, flat in self._flat_seen:
            if mask is call.mask or (moved and _same(mask, call.mask)):
                return flat
        flat = self._causal_flat() if call.mask is None else self._masked_flat(call)
        self._flat_seen.append((call.mask, flat))
        return flat

    def _causal_flat(self) -> Tensor:
        """sum_{i >= j, i <= T} 1/i for 1-based j, for each row's own T."""
        position = torch.arange(1, self._valid.shape[1] + 1, device=self._valid.device)
        shares = self._valid / position
        return shares.flip(1).cumsum(1).flip(1)

    def _masked_flat(self, call: AttentionCall) -> Tensor:
        size, width = self._valid.shape
        rows = torch.arange(size, device=self._valid.device)
        heads = torch.zeros_like(rows)
        block = self._block(size, width, call.query.device.type)
        total = torch.zeros_like(self._valid)
        for start in range(0, width, block):
            stop = min(start + block, width)
            visible = call.visible(rows, heads, start, stop).float()  # (B, q, stop)
            share = self._valid[:, start:stop] / visible.sum(-1).clamp_min(1.0)
            total[:, :stop] += torch.matmul(share[:, None], visible)[:, 0]
        return total


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether two masks on one device say the same."""
    return one is not None and other is not None and torch.equal(one, other)


def observe(
    reference: ReferenceModel,
    ids: Tensor,
    lengths: Tensor,
    plan: HeadPlan,
    *,
    stop: bool = True,
) -> Profiles:
    """Profiles of right-padded ids (B, T) with real ``lengths`` (B,), on the model's device."""
    observer = ProfileObserver(plan, lengths, ids.shape[1], stop=stop)
    with torch.inference_mode(), intervening(observer), suppress(StopForward):
        reference.hidden(ids)
    return observer.profiles()
