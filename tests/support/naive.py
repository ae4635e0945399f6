"""Naive references: what a researcher would write first, slow and plainly right.

Eager attention per head with the whole T x T matrix, one forward pass a head, full logits. Shares
no code with circuitseer_core.model.attention beyond the name under which a function is registered.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.reference import ReferenceModel

_NAME = "naive_reference"
_target: dict[str, Any] = {"heads": {}, "mode": "none", "epsilon": 0.0, "means": {}}


def _eager(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, **kw: Any) -> Any:
    """The architecture's own eager attention, then the chosen heads' outputs recomputed by hand."""
    eager = sys.modules[type(module).__module__].eager_attention_forward
    output, weights = eager(module, query, key, value, mask, **kw)
    for head in _target["heads"].get(module.layer_idx, []):
        group = query.shape[1] // key.shape[1]
        matrix = _matrix(module, query, key, mask, head, head // group, kw)
        if _target["mode"] == "mean":
            output[:, :, head] = _target["means"][module.layer_idx][head]
        else:
            output[:, :, head] = torch.matmul(matrix, value[:, head // group])
    return output, weights


def _matrix(
    module: Any, query: Tensor, key: Tensor, mask: Tensor, head: int, kv: int, kw: Any
) -> Tensor:
    visible = (mask[:, 0] == 0).to(query.dtype)
    if _target["mode"] == "uniform":
        return visible / visible.sum(-1, keepdim=True)
    if _target["mode"] in ("zero", "mean"):
        return torch.zeros_like(visible)
    scaling = kw.get("scaling") or query.shape[-1] ** -0.5
    logits = torch.matmul(query[:, head], key[:, kv].transpose(1, 2)) * scaling * _target["epsilon"]
    if kw.get("softcap") is not None:
        logits = kw["softcap"] * torch.tanh(logits / kw["softcap"])
    return torch.softmax(logits + mask[:, 0], -1)


AttentionInterface.register(_NAME, _eager)
AttentionMaskInterface.register(_NAME, eager_mask)


@contextmanager
def naive_attention(reference: ReferenceModel) -> Iterator[None]:
    before = reference.model.config._attn_implementation
    reference.model.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        reference.model.set_attn_implementation(before)


def naive_loss(
    reference: ReferenceModel,
    sample: Encoded,
    heads: dict[int, list[int]],
    *,
    mode: str = "uniform",
    epsilon: float = 0.0,
    means: dict[int, Tensor] | None = None,
) -> float:
    """Mean loss of one sample with ``heads`` (layer -> heads) ablated, full logits, no padding."""
    _target.update(heads=heads, mode=mode, epsilon=epsilon, means=means or {})
    ids = torch.tensor([sample.ids])
    with torch.no_grad(), naive_attention(reference):
        logits = reference.model(input_ids=ids, use_cache=False).logits[0]
    _target.update(heads={})
    log_probabilities = torch.log_softmax(logits.double(), -1)
    picked = [
        -log_probabilities[i - 1, sample.ids[i]].item()
        for i in range(sample.loss_from, len(sample.ids))
    ]
    return sum(picked) / len(picked)


def naive_delta(
    reference: ReferenceModel, sample: Encoded, layer: int, head: int, **how: Any
) -> float:
    """Loss change of one head on one sample."""
    return naive_loss(reference, sample, {layer: [head]}, **how) - naive_loss(reference, sample, {})


def naive_continuation(
    reference: ReferenceModel, prompt: list[int], heads: dict[int, list[int]], most: int, **how: Any
) -> list[int]:
    """Greedy tokens with ``heads`` ablated, the whole text run anew for every one of them."""
    _target.update({"mode": "uniform", "epsilon": 0.0, "means": {}} | how, heads=heads)
    ids = list(prompt)
    with torch.no_grad(), naive_attention(reference):
        for _ in range(most):
            logits = reference.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
            ids.append(int(logits[-1].argmax()))
    _target.update(heads={})
    return ids[len(prompt) :]
