"""Keep attention on a kernel that never writes a T x T matrix.

On a GPU, torch's scaled dot-product attention has kernels for half precision that know grouped
heads, one for any precision that does not, and a fallback that writes every head's T x T matrix.
Grouped heads in float32 get the fallback, and nobody is told. So outside half precision the
key/value heads are repeated here, which costs as much memory as the queries take; where only the
fallback is left, it is said once.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

_HALF = (torch.bfloat16, torch.float16)
_NO_FALLBACK = ("cpu", "mps")
"""Devices whose own kernels know grouped heads in every precision."""
_known: set[tuple[Any, ...]] = set()


class Ungrouped:
    """What Transformers' attention reads off a module, of one whose heads are no longer grouped."""

    num_key_value_groups = 1

    def __init__(self, module: nn.Module) -> None:
        self.is_causal = getattr(module, "is_causal", True)


def ungrouped(module: Any, query: Tensor, key: Tensor, value: Tensor) -> tuple[Any, Tensor, Tensor]:
    """Module, keys and values with which to call attention: (B, H, T, D) where it has to be."""
    groups = query.shape[1] // key.shape[1]
    if groups == 1 or query.dtype in _HALF or query.device.type in _NO_FALLBACK:
        return module, key, value
    key, value = (tensor.repeat_interleave(groups, dim=1) for tensor in (key, value))
    return Ungrouped(module), key, value


def tell_of_fallback(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> None:
    """Warn once for each kind of call that has no kernel but the one with T x T matrices."""
    if not query.is_cuda or query.dtype == torch.float64:
        return
    groups, masked = query.shape[1] // key.shape[1], mask is not None
    kind = (query.dtype, groups, key.shape[-1], value.shape[-1], masked)
    if kind in _known:
        return
    _known.add(kind)
    if not has_lean_kernel(query, key, value, mask):
        warnings.warn(
            f"attention of {str(query.dtype).removeprefix('torch.')} heads of width "
            f"{key.shape[-1]} has no memory-efficient kernel here: every head writes a matrix of "
            "tokens by tokens; bf16 or a lower longest length helps",
            RuntimeWarning,
            stacklevel=2,
        )


def has_lean_kernel(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> bool:
    """Whether CUDA has a kernel for this call that writes no T x T matrix."""
    cuda = torch.backends.cuda
    grouped = query.shape[1] != key.shape[1]
    params = cuda.SDPAParams(query, key, value, mask, 0.0, mask is None, grouped)
    tests = (
        cuda.can_use_flash_attention,
        cuda.can_use_efficient_attention,
        cuda.can_use_cudnn_attention,
    )
    return any(test(params) for test in tests)
