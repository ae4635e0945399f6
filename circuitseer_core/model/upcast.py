"""The same model at a higher precision, one module at a time.

What rounding does to a number is seen by computing it again with less of it. A second copy of the
model would double or quadruple its memory; here a module's own weights are widened as it begins its
forward pass and put back as it ends, so that one module's weights exist twice at a time. A wider
type holds every value of the narrower one, so the weights are the very same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from circuitseer_core.model.reference import ReferenceModel, using

Slot = tuple[dict[str, Any], str, Tensor]
"""Where a tensor is kept, its name there, and the tensor itself."""


@contextmanager
def upcast(reference: ReferenceModel, dtype: torch.dtype) -> Iterator[None]:
    """Run every forward pass in the block with weights and states in ``dtype``.

    Other threads wait with their own passes until the block is left.
    """
    replaced: dict[nn.Module, list[Slot]] = {}

    def widen(slots: list[Slot], module: nn.Module, args: Any) -> None:
        replaced[module] = slots
        for place, name, tensor in slots:
            place[name] = tensor.to(dtype)

    def restore(module: nn.Module, *args: Any) -> None:
        for place, name, tensor in replaced.pop(module, []):
            place[name] = tensor

    with using():
        undo: list[Callable[[], None]] = []
        try:
            for module in reference.model.modules():
                if slots := list(_narrow(module, dtype)):
                    undo.append(module.register_forward_pre_hook(partial(widen, slots)).remove)
                    undo.append(module.register_forward_hook(restore, always_call=True).remove)
            yield
        finally:
            for remove in undo:
                remove()
            for module in list(replaced):
                restore(module)


def why_not(reference: ReferenceModel, dtype: torch.dtype) -> str | None:
    """Why this model cannot be run in ``dtype``, in a few words; None where it can."""
    if any(p.is_meta for p in reference.model.parameters()):
        return "a part of the weights is not in memory"
    if getattr(reference.model, "is_quantized", False):
        return "its weights are quantised"
    try:
        torch.zeros(1, device=reference.device).to(dtype)
    except (TypeError, RuntimeError):
        return f"the device has no {str(dtype).removeprefix('torch.')}"
    return None


def _narrow(module: nn.Module, dtype: torch.dtype) -> Iterator[Slot]:
    """The module's own weights and buffers that are narrower than ``dtype``."""
    for place in (module._parameters, module._buffers):
        for name, tensor in place.items():
            if tensor is None or not tensor.is_floating_point():
                continue
            if tensor.element_size() < dtype.itemsize:
                yield place, name, tensor
