"""The one attention function: run a head, ablate a head, observe a head.

Transformers lets every architecture look its attention up by name. We register ours under that
mechanism, so no modelling code is vendored and no weight is edited. The function gets queries and
keys *after* RoPE and q/k norm, which is where an intervention on one query head must act:

1. Undifferentiated attention (arXiv 2410.13708, eq. 7, in the limit eps -> 0) gives every key that
   a query may see the same weight, U_ij = 1 / |visible(i)|. The head's output is then the mean of
   the visible values: a running mean under a causal mask, so no matrix is needed.
2. An ablation replaces the *output* of one query head. Editing weights would miss biases, scaling
   queries is undone by a q norm, and editing a key/value row would hit the whole GQA group.
3. An observation recomputes softmax rows in float32 for the heads asked for, and for no others.

Axes: B batch rows, H query heads, G key/value heads, T tokens, D head width.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from circuitseer_core.errors import UserError
from circuitseer_core.model.kernels import tell_of_fallback, ungrouped

NAME = "circuitseer"


@dataclass(frozen=True, slots=True)
class AttentionCall:
    """One attention layer's inputs, as the model computed them.

    Shapes: query (B, H, Q, D), key (B, G, T, D), value (B, G, T, Dv). Q is T, or less where earlier
    keys come from a cache; the queries are the last Q positions. ``mask`` is None where the layer
    is plainly causal over its whole input, else (B or 1, H or 1, Q, T): boolean (True = visible) or
    additive.
    """

    layer: int
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    scaling: float
    softcap: float | None
    sinks: Tensor | None

    @property
    def n_heads(self) -> int:
        """Query heads of this layer."""
        return self.query.shape[1]

    def on(self, device: torch.device) -> AttentionCall:
        """The same call with its tensors on ``device``: layers may be spread over several."""
        if self.query.device == device:
            return self
        return replace(
            self,
            query=self.query.to(device),
            key=self.key.to(device),
            value=self.value.to(device),
            mask=None if self.mask is None else self.mask.to(device),
            sinks=None if self.sinks is None else self.sinks.to(device),
        )

    @property
    def group_size(self) -> int:
        """Query heads that share one key/value head."""
        return self.query.shape[1] // self.key.shape[1]

    @property
    def cached(self) -> int:
        """Keys from before the first query: T - Q."""
        return self.key.shape[2] - self.query.shape[2]

    def visible(self, rows: Tensor, heads: Tensor, start: int, stop: int) -> Tensor:
        """Keys that queries ``start:stop`` of N (row, head) pairs may see: (N, q, k) bool.

        k = cached + ``stop``: keys behind the last query are left out, no causal query sees them.
        """
        if self.mask is None:
            at = torch.arange(start, stop, device=self.query.device) + self.cached
            keys = torch.arange(self.cached + stop, device=self.query.device)
            return (keys[None, :] <= at[:, None]).expand(len(rows), -1, -1)
        block = self._mask_block(rows, heads, start, stop)
        return block if block.dtype == torch.bool else block > torch.finfo(block.dtype).min / 2

    def _mask_block(self, rows: Tensor, heads: Tensor, start: int, stop: int) -> Tensor:
        assert self.mask is not None
        row = rows if self.mask.shape[0] > 1 else torch.zeros_like(rows)
        head = heads if self.mask.shape[1] > 1 else torch.zeros_like(heads)
        return self.mask[row, head, start:stop, : self.cached + stop]

    def pattern(
        self, rows: Tensor, heads: Tensor, start: int, stop: int, epsilon: float = 1.0
    ) -> Tensor:
        """Attention of queries ``start:stop`` of N (row, head) pairs: (N, q, k), float32.

        (float64 of a model that runs in float64.) Rows sum to 1, or to less where the model has a
        learned sink. ``epsilon`` scales the logits before soft-cap and mask (1 = the model's own
        attention). k is that of :meth:`visible`.
        """
        query = widened(self.query[rows, heads, start:stop])
        key = widened(self.key[rows, heads // self.group_size, : self.cached + stop])
        logits = torch.matmul(query * (self.scaling * epsilon), key.transpose(1, 2))
        if self.softcap is not None:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        if self.mask is not None and self.mask.dtype != torch.bool:
            logits = logits + self._mask_block(rows, heads, start, stop).to(logits.dtype)
        else:
            # Not -inf: a padded query sees nothing, and its NaN would reach others as 0 * NaN.
            hidden = ~self.visible(rows, heads, start, stop)
            logits = logits.masked_fill(hidden, torch.finfo(torch.float32).min)
        if self.sinks is None:
            return logits.softmax(-1)
        sink = self.sinks.reshape(-1).to(logits.dtype)[heads]
        sink = sink[:, None, None].expand(-1, stop - start, 1)
        return torch.cat([logits, sink], -1).softmax(-1)[..., :-1]

    def undifferentiated(self, rows: Tensor, heads: Tensor) -> Tensor:
        """Output of N heads that attend uniformly to their visible keys: (N, Q, Dv), float32."""
        values = widened(self.value[rows, heads // self.group_size])
        if self.mask is None and self.query.shape[2] == 1:  # the last position sees them all
            return values.mean(1, keepdim=True)
        if self.mask is None:
            counts = torch.arange(1, values.shape[1] + 1, device=values.device, dtype=values.dtype)
            return values.cumsum(1).div_(counts[:, None])[:, self.cached :]
        weights = self.visible(rows, heads, 0, self.query.shape[2]).to(values.dtype)
        return torch.matmul(weights, values) / weights.sum(-1, keepdim=True).clamp_min(1.0)


def widened(values: Tensor) -> Tensor:
    """In float32, or in float64 where they are."""
    return values if values.dtype == torch.float64 else values.float()


class Intervention:
    """Something done at every attention layer while :func:`intervening` is active."""

    def before(self, call: AttentionCall) -> None:
        """See the inputs before attention is computed; may raise :class:`StopForward`."""

    def after(self, call: AttentionCall, output: Tensor) -> Tensor:
        """Return the output to use, (B, T, H, Dv); may edit in place."""
        return output


class StopForward(Exception):
    """Raised by an intervention once nothing deeper in the model is needed."""


_ACTIVE: ContextVar[tuple[Intervention, ...]] = ContextVar("circuitseer_interventions", default=())


@contextmanager
def intervening(*interventions: Intervention) -> Iterator[None]:
    """Apply ``interventions`` to every forward pass of an instrumented model inside the block."""
    token = _ACTIVE.set(_ACTIVE.get() + interventions)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention signature; returns ((B, T, H, Dv), None)."""
    active = _ACTIVE.get()
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    softcap, sinks = kwargs.get("softcap"), kwargs.get("s_aux")
    if not active:
        return _run(module, query, key, value, attention_mask, scaling, **kwargs), None
    call = AttentionCall(
        layer=_layer_index(module),
        query=query,
        key=key,
        value=value,
        mask=attention_mask,
        scaling=scaling,
        softcap=softcap,
        sinks=sinks,
    )
    for intervention in active:
        intervention.before(call)
    output = _run(module, query, key, value, attention_mask, scaling, **kwargs)
    for intervention in active:
        output = intervention.after(call, output)
    return output, None


def _layer_index(module: nn.Module) -> int:
    index = getattr(module, "layer_idx", None)
    if index is None:
        raise UserError(
            f"{type(module).__name__} does not tell its layer: it cannot be instrumented"
        )
    return int(index)


def _run(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float,
    **kwargs: Any,
) -> Tensor:
    """SDPA, or the architecture's own eager function where SDPA cannot express the layer."""
    if kwargs.get("softcap") is None and kwargs.get("s_aux") is None:
        module, key, value = ungrouped(module, query, key, value)
        tell_of_fallback(query, key, value, mask)
        output, _ = sdpa_attention_forward(
            module, query, key, value, mask, scaling=scaling, **kwargs
        )
        return output
    eager = sys.modules[type(module).__module__].eager_attention_forward
    added = _additive(mask, query, key)
    output, _ = eager(module, query, key, value, added, scaling=scaling, **kwargs)
    return output.contiguous()


def _additive(mask: Tensor | None, query: Tensor, key: Tensor) -> Tensor:
    """The mask that eager functions add to their logits; None stands for plain causal."""
    if mask is None:
        rows, columns = query.shape[2], key.shape[2]  # the queries are the last of the keys
        ones = torch.ones(rows, columns, dtype=torch.bool, device=query.device)
        mask = ones.tril(columns - rows)[None, None]
    if mask.dtype != torch.bool:
        return mask
    lowest = torch.finfo(query.dtype).min
    return torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, lowest)


AttentionInterface.register(NAME, attention_forward)
# Without a mask function of the same name the mask is silently None and sliding windows vanish.
AttentionMaskInterface.register(NAME, sdpa_mask)
