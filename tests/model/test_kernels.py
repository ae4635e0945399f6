"""Which calls of attention are changed, and what is said where nothing helps."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from circuitseer_core.model import kernels


def tensors(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(2, heads, 5, 8).to(dtype) for heads in (6, 2, 2))


def test_repeated_heads_attend_as_grouped_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_NO_FALLBACK", ())  # as on a GPU
    query, key, value = tensors()
    module = SimpleNamespace(is_causal=True, num_key_value_groups=3)
    plain, wide_key, wide_value = kernels.ungrouped(module, query, key, value)
    assert wide_key.shape == wide_value.shape == query.shape
    assert plain.is_causal and plain.num_key_value_groups == 1
    attend = torch.nn.functional.scaled_dot_product_attention
    want = attend(query, key, value, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(attend(query, wide_key, wide_value, is_causal=True), want)


def test_what_a_kernel_can_do_itself_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value = tensors()
    assert kernels.ungrouped(None, query, key, value)[1] is key, "a CPU"
    monkeypatch.setattr(kernels, "_NO_FALLBACK", ())
    query, key, value = tensors(torch.bfloat16)
    assert kernels.ungrouped(None, query, key, value)[1] is key, "half precision"
    assert kernels.ungrouped(None, query, query, query)[1] is query, "nothing is grouped"


def test_the_fallback_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def there(dtype: torch.dtype, heads: int) -> Any:
        return SimpleNamespace(is_cuda=True, dtype=dtype, shape=(1, heads, 9, 300))

    monkeypatch.setattr(kernels, "_known", set())
    monkeypatch.setattr(kernels, "has_lean_kernel", lambda *call: False)
    call = (there(torch.float32, 4), there(torch.float32, 4), there(torch.float32, 4), None)
    with pytest.warns(RuntimeWarning, match="float32 heads of width 300"):
        kernels.tell_of_fallback(*call)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernels.tell_of_fallback(*call)
        kernels.tell_of_fallback(*tensors(), None)  # a CPU writes none
        monkeypatch.setattr(kernels, "has_lean_kernel", lambda *call: True)
        kernels.tell_of_fallback(*[there(torch.bfloat16, 4)] * 3, None)
