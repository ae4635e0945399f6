"""Every kernel on a device that lives in Python: the CPU's bits, nothing on the wrong side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from circuitseer_core.detection.ablation import AblationMode, mean_outputs
from circuitseer_core.detection.ablator import Ablator
from circuitseer_core.detection.joint import joint_loss
from circuitseer_core.detection.replay import replay_is_exact, run_clean, variant_losses
from circuitseer_core.model.attention import AttentionCall, intervening
from circuitseer_core.model.batches import loss_batch
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.model.upcast import upcast, why_not
from circuitseer_core.scoring.baselines import response_losses
from circuitseer_core.scoring.host_copy import HostCopy
from circuitseer_core.scoring.profiles import HeadPlan, ProfileObserver, observe
from tests.support.pretend_gpu import DEVICE, crossed, pretend_gpu
from tests.support.tiny_models import KINDS, VOCAB, tiny_model


def sample(number: int, tokens: int) -> Encoded:
    ids = np.random.default_rng(number).integers(1, VOCAB, tokens).tolist()
    return Encoded(str(number), "s", ids, tokens // 2)


SAMPLES = [sample(i, tokens) for i, tokens in enumerate([11, 23, 9])]
PLAN = [[(0, 1), (1, 2)], [(1, 0)]]


def frozen(kind: str, dtype: torch.dtype = torch.float32, **options: Any) -> ReferenceModel:
    reference = tiny_model(kind, **options)
    reference.model.to(dtype).requires_grad_(False)
    return reference


def numbers(reference: ReferenceModel) -> dict[str, torch.Tensor]:
    """What stages 1 and 2 compute, on the model's device and back."""
    with torch.inference_mode():
        batch = loss_batch(SAMPLES, reference.device)
        assert replay_is_exact(reference, batch)
        means = mean_outputs(reference, SAMPLES)
        out = {"joint": torch.tensor(joint_loss(reference, SAMPLES, [[(0, 1), (1, 2)]]))}
        for mode in (
            AblationMode(), AblationMode("zero"), AblationMode("scaled", 0.3),
            AblationMode("mean", means=means),
        ):  # fmt: skip
            ablator = Ablator(reference, mode, stack_tokens=300)
            out[mode.mode] = ablator.measure(batch, 1, [0, 2, 3], noise=True).delta
        lengths = torch.tensor(batch.lengths, device=reference.device)
        observed = observe(reference, batch.ids, lengths, HeadPlan(PLAN, reference.device))
        copied = HostCopy(observed).wait()
        losses = response_losses(reference, SAMPLES, 64)
        out["response"] = torch.tensor(np.concatenate([x for x in losses if x is not None]))
        return out | {"observed": torch.tensor(copied[0]), "flat": torch.tensor(copied[1])}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_kernels_stay_on_the_device_and_give_the_same_bits(kind: str, dtype: torch.dtype) -> None:
    reference = frozen(kind, dtype)
    expected = numbers(reference)
    with pretend_gpu():
        reference.model.to(DEVICE)
        got = numbers(reference)
    for name, value in expected.items():
        assert torch.equal(value, got[name]), name


def test_a_device_without_float64_is_enough() -> None:
    reference = frozen("llama")
    expected = numbers(reference)
    with pretend_gpu(float64=False):
        reference.model.to(DEVICE)
        got = numbers(reference)
    for name, value in expected.items():
        assert torch.equal(value, got[name]), name


def test_a_tensor_left_on_the_host_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: positions made without a device, as every CPU test would let pass."""

    def undifferentiated(self: AttentionCall, rows: Any, heads: Any) -> torch.Tensor:
        values = self.value[rows, heads // self.group_size].float()
        counts = torch.arange(1, values.shape[1] + 1, dtype=torch.float32)
        return values.cumsum(1) / counts[:, None]

    monkeypatch.setattr(AttentionCall, "undifferentiated", undifferentiated)
    reference = frozen("llama")
    numbers(reference)
    with pretend_gpu(), pytest.raises(RuntimeError, match="to be on the same device"):
        reference.model.to(DEVICE)
        numbers(reference)


def test_a_planted_float64_is_caught() -> None:
    with pretend_gpu(float64=False), pytest.raises(TypeError, match="no float64"):
        torch.ones(3, device=DEVICE).double()


def test_a_forward_a_stack_and_a_batch_hardly_wait_for_the_device() -> None:
    reference = frozen("llama", layers=4)
    with pretend_gpu() as crossings:
        reference.model.to(DEVICE)
        batch = loss_batch(SAMPLES, reference.device)
        plan = HeadPlan([[(3, 1)]], reference.device)
        lengths = torch.tensor(batch.lengths, device=DEVICE)
        clean = run_clean(reference, batch)
        crossings.clear()
        reference.hidden(batch.ids)
        forward = crossed(crossings)
        crossings.clear()
        variant_losses(reference, batch, clean, 1, [None, 0, 1], AblationMode())
        stack = crossed(crossings)
        crossings.clear()
        observe(reference, batch.ids, lengths, plan)
        observed = crossed(crossings)
    assert forward <= 1, "Transformers' own"
    assert stack <= 5, "rows and heads up, losses and their rows down"
    assert observed <= forward, "an observed batch stays on the device"


@pytest.mark.parametrize(("dtype", "grouped"), [(torch.float32, 0), (torch.bfloat16, 2)])
def test_grouped_heads_reach_a_kernel_that_knows_them(dtype: torch.dtype, grouped: int) -> None:
    """Of a GPU's kernels only those for half precision know grouped heads."""
    reference = frozen("llama", dtype)
    with pretend_gpu() as crossings:
        reference.model.to(DEVICE)
        ids = loss_batch(SAMPLES, reference.device).ids
        crossings.clear()
        reference.hidden(ids)
    assert crossings["causal attention"] == 2 and crossings["grouped attention"] == grouped


@pytest.mark.parametrize("kind", ["llama", "gemma3", "gpt2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_layers_on_two_devices_give_the_same_bits(kind: str, dtype: torch.dtype) -> None:
    """As accelerate spreads a model: its hooks move what flows, the rest is ours."""
    reference = frozen(kind, dtype)
    expected = numbers(reference)
    with pretend_gpu():
        spread_over(reference.model, reference.layers[1:], DEVICE)
        assert {p.device.type for p in reference.model.parameters()} == {"cpu", DEVICE.type}
        got = numbers(reference)
    for name, value in expected.items():
        assert torch.equal(value, got[name]), name


def test_masks_that_came_from_another_device_are_one_of_a_kind() -> None:
    """Every layer there has a copy of its own; profiles keep one of those that say the same."""
    reference = frozen("gemma3", layers=8)
    plan = HeadPlan([[(layer, 0) for layer in range(8)]], torch.device("cpu"))
    batch = loss_batch(SAMPLES, reference.device)
    lengths = torch.tensor(batch.lengths)
    with pretend_gpu(), torch.inference_mode():
        spread_over(reference.model, reference.layers[2:], DEVICE)
        observer = ProfileObserver(plan, lengths, batch.ids.shape[1], stop=False)
        with intervening(observer):
            reference.hidden(batch.ids)
        seen = [mask for mask, _ in observer._flat_seen]
    assert len(seen) == 2, "sliding and full"


def spread_over(model: Any, modules: Any, device: torch.device) -> None:
    """Move ``modules`` to ``device`` and let hooks move what comes in, as accelerate does."""
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    class Moves(AlignDevicesHook):  # type: ignore[misc]
        """Without the part that moves weights, which knows no device that lives in Python."""

        def init_hook(self, module: Any) -> Any:
            return module

    inside = {part for module in modules for part in module.modules()}
    for module in modules:
        module.to(device)
        add_hook_to_module(module, Moves(execution_device=device))
    for module in set(model.modules()) - inside - {model}:
        if not list(module.children()):
            add_hook_to_module(module, Moves(execution_device=torch.device("cpu")))
    add_hook_to_module(model, Moves(io_same_device=True))


def test_weights_widened_module_by_module_are_a_converted_model() -> None:
    reference = frozen("gemma3", torch.bfloat16)
    with pretend_gpu():
        reference.model.to(DEVICE)
        before = dict(reference.model.named_parameters())
        with upcast(reference, torch.float32):
            hidden = reference.hidden(loss_batch(SAMPLES, reference.device).ids)
            assert hidden.dtype == reference.logits(hidden[0]).dtype == torch.float32
        assert all(p is before[name] for name, p in reference.model.named_parameters())


def test_a_device_without_float64_has_no_noise_floor_for_float32() -> None:
    reference = frozen("llama")
    with pretend_gpu(float64=False):
        reference.model.to(DEVICE)
        assert why_not(reference, torch.float64) == "the device has no float64"
        assert why_not(reference, torch.float32) is None
