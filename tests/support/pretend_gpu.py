"""A device that lives in Python: what a GPU would run, tested where there is none.

Tensors say ``pretend:0`` and hold their values on the CPU. As with CUDA they refuse to be mixed
with CPU tensors, and every crossing between the two is counted by kind (``up``, ``down``, ``wait``)
and place. Torch's Python backend for PrivateUse1 supplies the device; a process can name it once.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_setup_privateuseone_for_python_backend("pretend")
DEVICE = torch.device("pretend", 0)
_ATEN = torch.ops.aten
_WAITS = {_ATEN._local_scalar_dense.default, _ATEN.nonzero.default, _ATEN.equal.default}
"""Ops whose result the host waits for."""
_INDEXING = {_ATEN.index.Tensor, _ATEN.index_put_.default, _ATEN._index_put_impl_.default}
"""Ops that take indices from the host, at the price of an upload."""


class OnDevice(torch.Tensor):
    """A tensor on the device; ``inner`` holds its values."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> OnDevice:
        made: OnDevice = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )
        return made

    def __init__(self, inner: torch.Tensor) -> None:
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} on the device outside of pretend_gpu()")


@contextmanager
def pretend_gpu(*, float64: bool = True) -> Iterator[Counter[str]]:
    """Everything inside may use DEVICE; yields the count of crossings by kind and place.

    ``float64=False``: a device that has none, as Apple's MPS.
    """
    dispatch = _Dispatch(Counter(), float64)
    with dispatch, _Functions(dispatch), torch.inference_mode():
        yield dispatch.crossings


def crossed(crossings: Counter[str]) -> int:
    """How often the two sides met."""
    return sum(n for what, n in crossings.items() if what.split()[0] in {"up", "down", "wait"})


def _is_ours(device: Any) -> bool:
    return device is not None and torch.device(device).type == DEVICE.type


class _Dispatch(TorchDispatchMode):
    def __init__(self, crossings: Counter[str], float64: bool) -> None:
        super().__init__()
        self.crossings, self.float64 = crossings, float64

    def note(self, kind: str) -> None:
        """Count a crossing at the nearest frame of the project or of Transformers."""
        frame = sys._getframe(1)
        while frame.f_back is not None:
            name = frame.f_code.co_filename
            if "circuitseer_core" in name or "/transformers/" in name:
                break
            frame = frame.f_back
        place = f"{frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.f_code.co_name}"
        self.crossings[f"{kind} {place}"] += 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.name()
        if name == "aten::_has_compatible_shallow_copy_type":
            return False
        if torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd"):
            with self:
                return func.decompose(*args, **kwargs)
        flat, spec = pytree.tree_flatten((args, kwargs))
        there = [x for x in flat if isinstance(x, OnDevice)]
        goes = self._lands_there(func, args, kwargs, flat, there)
        plain = [x.inner if isinstance(x, OnDevice) else x for x in flat]
        args, kwargs = pytree.tree_unflatten(plain, spec)
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        if func is _ATEN.histc.default and args[0].dtype == torch.int32:
            args = (args[0].float(), *args[1:])  # CUDA has it for integers, CPUs do not
        with _disable_current_modes():
            out = func(*args, **kwargs)
        known = {id(x.inner): x for x in there}

        def wrapped(x: Any) -> Any:
            if not isinstance(x, torch.Tensor) or not goes:
                return known.get(id(x), x)
            if x.dtype == torch.float64 and not self.float64:
                raise TypeError("this device has no float64")
            return known[id(x)] if id(x) in known else OnDevice(x)

        return pytree.tree_map(wrapped, out)

    def _lands_there(
        self, func: Any, args: Any, kwargs: Any, flat: list[Any], there: list[OnDevice]
    ) -> bool:
        """Whether the result is on the device; counts crossings, refuses to mix devices."""
        here = [x for x in flat if isinstance(x, torch.Tensor) and not isinstance(x, OnDevice)]
        goes = _is_ours(kwargs["device"]) if kwargs.get("device") is not None else bool(there)
        if func is _ATEN.copy_.default:
            goes = isinstance(args[0], OnDevice)
            if len(there) == 1:
                self.note("up" if goes else "down")
        elif func is _ATEN._to_copy.default:
            if goes != bool(there):
                self.note("up" if goes else "down")
        elif there:
            if any(x.dim() for x in here) and func not in _INDEXING:
                raise RuntimeError(f"Expected all tensors to be on the same device: {func.name()}")
            if func in _WAITS or (here and func in _INDEXING):
                self.note("wait")
        return goes


class _Functions(TorchFunctionMode):
    """What never reaches the dispatcher, or would choose a kernel by the device's name."""

    def __init__(self, dispatch: _Dispatch) -> None:
        super().__init__()
        self.dispatch = dispatch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.tensor and _is_ours(kwargs.get("device")):
            self.dispatch.note("up")
            with _disable_current_modes(), torch._C.DisableTorchFunction():
                return OnDevice(torch.tensor(*args, **(kwargs | {"device": "cpu"})))
        if func is torch.Tensor.tolist and isinstance(args[0], OnDevice):
            self.dispatch.note("down")
            return args[0].inner.tolist()
        if func is torch.nn.functional.scaled_dot_product_attention:
            return self._attention(func, args, kwargs)
        return func(*args, **kwargs)

    def _attention(self, func: Any, args: Any, kwargs: Any) -> Any:
        """SDPA as the CPU does it; on the device all operands must be alike."""
        flat, spec = pytree.tree_flatten((args, kwargs))
        tensors = [x for x in flat if isinstance(x, torch.Tensor)]
        if not any(isinstance(x, OnDevice) for x in tensors):
            return func(*args, **kwargs)
        assert all(isinstance(x, OnDevice) for x in tensors), "attention mixes devices"
        assert len({x.dtype for x in tensors if x.dtype != torch.bool}) == 1, "and dtypes"
        masked = kwargs.get("attn_mask") is not None
        self.dispatch.crossings["grouped attention"] += bool(kwargs.get("enable_gqa"))
        self.dispatch.crossings["masked attention" if masked else "causal attention"] += 1
        plain = [x.inner if isinstance(x, OnDevice) else x for x in flat]
        args, kwargs = pytree.tree_unflatten(plain, spec)
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            return OnDevice(func(*args, **kwargs))
