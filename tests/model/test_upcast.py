"""The model at a higher precision, module by module, against a converted copy."""

from __future__ import annotations

import copy

import pytest
import torch

from circuitseer_core.model.batches import loss_batch
from circuitseer_core.model.losses import clean_losses
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.model.upcast import upcast, why_not
from tests.support.loss_changes import samples
from tests.support.tiny_models import tiny_model

BATCH = loss_batch(samples(), torch.device("cpu"))


def low(kind: str, dtype: torch.dtype) -> ReferenceModel:
    reference = tiny_model(kind)
    reference.model.to(dtype)
    return reference


@pytest.mark.parametrize(
    ("dtype", "wide"), [(torch.bfloat16, torch.float32), (torch.float32, torch.float64)]
)
@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2"])
def test_it_is_a_converted_copy_to_the_bit(
    kind: str, dtype: torch.dtype, wide: torch.dtype
) -> None:
    reference = low(kind, dtype)
    converted = copy.deepcopy(reference.model).to(wide)
    want = clean_losses(ReferenceModel(converted, reference.tokenizer, name="wide"), BATCH)
    before = clean_losses(reference, BATCH)
    with torch.inference_mode(), upcast(reference, wide):
        got = clean_losses(reference, BATCH)
    assert torch.equal(got, want) and not torch.equal(got, before)
    assert torch.equal(clean_losses(reference, BATCH), before), "and back"


def test_a_forward_that_fails_leaves_the_weights_as_they_were() -> None:
    reference = low("llama", torch.bfloat16)
    before = dict(reference.model.named_parameters())
    with pytest.raises(RuntimeError, match="planted"), upcast(reference, torch.float32):

        def fail(*args: object) -> None:
            raise RuntimeError("planted")

        reference.layers[1].mlp.act_fn.register_forward_pre_hook(fail)
        reference.hidden(BATCH.ids)
    assert all(p is before[name] for name, p in reference.model.named_parameters())
    assert all(p.dtype == torch.bfloat16 for p in before.values())


def test_quantised_weights_are_left_alone() -> None:
    reference = low("llama", torch.bfloat16)
    assert why_not(reference, torch.float32) is None
    reference.model.is_quantized = True
    assert why_not(reference, torch.float32) == "its weights are quantised"
