"""Five readings of every single head, taken in the pass that observes the profiles.

For one sample of T tokens and one head with attention A, profile m_j = (1/T) sum_i A_ij:

1. ``first``: ln m_0, how much attention the first token (the sink of most heads) gets.
2. ``focus``: ln(1 + focus), as in scorers.py but of this head's profile alone.
3. ``divergence``: ln(1 + divergence), likewise.
4. ``entropy``: (1/T) sum_i sum_j -A_ij ln A_ij, the mean entropy of a query's attention, in nats.
5. ``distance``: (1/T) sum_ij A_ij (i - j), the mean distance that a query looks back, in tokens.

Logarithms keep heavy tails linear and everything inside float16, in which the readings are stored.
This is a step beyond arXiv 2510.18470, which averages heads before it reads anything; what the
readings are for is in circuitseer_core/calibration.

Nothing is kept but the blocks of rows that the profiles are made from and one block beside them, so
memory stays O(T x block) a head. Axes: B samples, n heads of a layer, H heads in all, F readings,
T tokens, q queries of a block.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circuitseer_core.errors import UserError
from circuitseer_core.hashing import uniforms
from circuitseer_core.model.attention import AttentionCall, StopForward, intervening
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.columns import HEAD_FAMILIES
from circuitseer_core.scoring.control_heads import control_share
from circuitseer_core.scoring.profiles import HeadPlan, LayerPlan, ProfileObserver, Profiles

_LEAST_ROWS = 10
"""Rows with readings to be expected at least."""
LEAST = 1e-8
"""Attention below this is taken for this: the logarithm of 0 is no number."""


class HeadFeatureObserver(ProfileObserver):
    """Profiles of the plan's groups, and readings of the heads that it observes alone.

    Args:
        kept: (B, T) tokens that ``focus`` and ``divergence`` look at (scorers.kept_tokens).
    """

    def __init__(
        self,
        plan: HeadPlan,
        lengths: Tensor,
        kept: Tensor,
        *,
        stop: bool = True,
        block_bytes: int | None = None,
    ) -> None:
        super().__init__(plan, lengths, kept.shape[1], stop=stop, block_bytes=block_bytes)
        self._kept = kept.float()[:, None]  # (B, 1, T)
        size = (len(lengths), len(HEAD_FAMILIES), len(plan.alone))
        self._readings = torch.zeros(size, device=lengths.device)
        self._columns = {head: column for column, head in enumerate(plan.alone)}
        self._heads_of: dict[int, tuple[Tensor, Tensor]] = {}
        for layer, wanted in plan.layers.items():
            self._heads_of[layer] = self._places(layer, wanted)

    def _places(self, layer: int, plan: LayerPlan) -> tuple[Tensor, Tensor]:
        """Of a layer's observed heads those wanted alone: their places in it, and in the result."""
        known = [
            (place, self._columns[layer, head])
            for place, head in enumerate(plan.heads.tolist())
            if (layer, head) in self._columns
        ]
        both = torch.tensor(known, dtype=torch.long, device=self._readings.device)
        return (both[:, 0], both[:, 1]) if known else (both, both)

    def _observe(self, call: AttentionCall, layer: LayerPlan) -> None:
        size, width = self._valid.shape
        shape, device = (size, len(layer.heads)), self._readings.device
        self._received = torch.zeros(*shape, width, device=device)
        self._entropy = torch.zeros(shape, device=device)
        # sum_i i sum_j A_ij: a closed form where rows sum to 1.
        tokens = self.lengths[:, None].float()
        self._reach = (tokens * (tokens - 1) / 2).expand(shape).clone()
        self._leaky = call.sinks is not None
        if self._leaky:
            self._reach.zero_()
        super()._observe(call, layer)

    def _block_seen(self, pattern: Tensor, real: Tensor, received: Tensor, start: int) -> None:
        size, n, stop = received.shape
        self._received[..., :stop] += received
        if self._leaky:
            at = torch.arange(start, stop, device=pattern.device, dtype=torch.float32)
            self._reach += (pattern.sum(-1) * real[:, 0] * at).sum(-1).view(size, n)
        entropy = torch.special.entr(pattern, out=pattern).sum(-1)  # (B*n, q)
        self._entropy += (entropy * real[:, 0]).sum(-1).view(size, n)

    def _observed(self, layer: int, flat: Tensor) -> None:
        places, columns = self._heads_of[layer]
        if len(columns):
            self._readings[:, :, columns] = self._layer_readings(places, flat)

    def _layer_readings(self, places: Tensor, flat: Tensor) -> Tensor:
        """(B, F, n) of one layer; ``flat`` (B, T) as the observer sums it."""
        received = self._received[:, places]  # (B, n, T)
        tokens = self.lengths[:, None].float()
        kept = self._kept.sum(-1)  # (B, 1)
        x = _renormalised(received, self._kept)
        w = _renormalised(flat[:, None], self._kept)
        focus = kept * ((x - 1 / kept[..., None]) ** 2 * self._kept).sum(-1)
        gap = torch.where(self._kept > 0, (x - w) ** 2 / w.clamp_min(LEAST**2), 0.0)
        position = torch.arange(received.shape[-1], device=received.device, dtype=torch.float32)
        distance = self._reach[:, places] - received @ position
        readings = [
            (received[..., 0] / tokens).clamp_min(LEAST).log(),
            focus.log1p(),
            gap.sum(-1).log1p(),
            self._entropy[:, places] / tokens,
            distance / tokens,
        ]
        return torch.stack(readings, dim=1)

    def profiles(self) -> Profiles:
        """The batch's profiles and readings, once the forward pass is over."""
        plain = super().profiles()
        return Profiles(plain.observed, plain.flat, self._readings)


def _renormalised(values: Tensor, kept: Tensor) -> Tensor:
    """(B, n, T): the kept tokens' values, summing to 1; 0 elsewhere."""
    inside = values * kept
    return inside / inside.sum(-1, keepdim=True).clamp_min(LEAST**2)


def observe_heads(
    reference: ReferenceModel,
    ids: Tensor,
    lengths: Tensor,
    kept: Tensor,
    plan: HeadPlan,
    *,
    stop: bool = True,
) -> Profiles:
    """Profiles and head readings of right-padded ids (B, T) with real ``lengths`` (B,).

    ``kept``: (B, T) tokens that are neither the first nor special. All on the model's device.
    """
    observer = HeadFeatureObserver(plan, lengths, kept, stop=stop)
    with torch.inference_mode(), intervening(observer), suppress(StopForward):
        reference.hidden(ids)
    return observer.profiles()


def feature_share(rows: int, limit: int) -> float:
    """Share of ``rows`` that carries head readings; a ``limit`` of 0 stands for every row.

    Raises:
        UserError: so low a limit that it may leave none.
    """
    share = control_share(rows, limit) if limit else 1.0
    if share * rows < min(rows, _LEAST_ROWS):
        raise UserError(
            f"--head-feature-rows {limit}: these rows are chosen by hash, which may leave none of "
            f"so few: give 50 or more, or 0 for all {rows:,}"
        )
    return share


def carries_features(seed: int, ids: Iterable[str], share: float) -> NDArray[np.bool_]:
    """(B,) which samples carry head readings: a property of the id, whatever the sharding."""
    return np.asarray(uniforms(seed, "head-features", ids) < share)
