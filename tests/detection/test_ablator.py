"""Layer replay against one naive forward a head: architectures, ablations, fall-backs, memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from circuitseer_core.detection.ablation import Ablation, AblationMode, mean_outputs
from circuitseer_core.detection.ablator import Ablator
from circuitseer_core.detection.joint import joint_loss
from circuitseer_core.detection.replay import replay_is_exact, run_clean
from circuitseer_core.errors import UserError
from circuitseer_core.model.batches import loss_batch
from circuitseer_core.model.losses import clean_losses
from circuitseer_core.model.reference import ReferenceModel
from tests.support.loss_changes import expected, measured, samples
from tests.support.naive import naive_loss
from tests.support.tiny_models import KINDS, tiny_model

CORE = ["llama", "qwen2", "qwen3", "gemma3", "gpt2"]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_delta_loss_equals_one_naive_forward_per_head(kind: str) -> None:
    reference = tiny_model(kind)
    batch = samples()
    want = expected(reference, batch)
    assert want.abs().median() >= 1e-2  # else an ablation that does nothing would pass
    assert (measured(reference, batch) - want).abs().max() <= 1e-5


@pytest.mark.parametrize("kind", CORE)
def test_a_noop_and_a_wrong_head_fail_the_same_comparison(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = tiny_model(kind)
    batch = samples()
    want = expected(reference, batch)
    true_after = Ablation.after
    monkeypatch.setattr(Ablation, "after", lambda self, call, output: output)
    assert (measured(reference, batch) - want).abs().max() > 1e-3

    def wrong(self: Ablation, call: Any, output: Tensor) -> Tensor:
        self.targets = {
            k: (rows, [(h + 1) % call.n_heads for h in hs])
            for k, (rows, hs) in self.targets.items()
        }
        return true_after(self, call, output)

    monkeypatch.setattr(Ablation, "after", wrong)
    assert (measured(reference, batch) - want).abs().max() > 1e-3


def test_without_the_registered_mask_function_sliding_windows_would_vanish(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from transformers import AttentionMaskInterface

    from circuitseer_core.model.attention import NAME

    reference = tiny_model("gemma3")
    batch = samples()
    want = expected(reference, batch)
    monkeypatch.delitem(AttentionMaskInterface._global_mapping, NAME)
    assert (measured(reference, batch) - want).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gemma3"])
@pytest.mark.parametrize(("mode", "epsilon"), [("zero", 0.0), ("scaled", 0.3), ("mean", 0.0)])
def test_other_ablations_against_the_naive_reference(kind: str, mode: str, epsilon: float) -> None:
    reference = tiny_model(kind)
    batch = samples()
    means = mean_outputs(reference, batch) if mode == "mean" else None
    want = expected(reference, batch, mode=mode, epsilon=epsilon, means=means)
    assert want.abs().median() >= 1e-2
    got = measured(reference, batch, mode=AblationMode(mode, epsilon, means))
    assert (got - want).abs().max() <= 1e-5


def test_mean_outputs_are_token_means_without_padding() -> None:
    reference = tiny_model("llama")
    batch = samples()
    together = mean_outputs(reference, batch)
    alone = [mean_outputs(reference, [s]) for s in batch]
    lengths = [s.n_tokens for s in batch]
    for layer, mean in together.items():
        parts = [n * a[layer] for n, a in zip(lengths, alone, strict=True)]
        assert torch.allclose(mean, torch.stack(parts).sum(0) / sum(lengths), atol=1e-6)


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_joint_ablation_of_heads_in_several_layers(kind: str) -> None:
    reference = tiny_model(kind)
    batch = samples()
    sets = [[(0, 1), (0, 3), (1, 0)], [(1, 2)]]
    got = joint_loss(reference, batch, sets, stack_tokens=100)
    for row, heads in enumerate([[], *sets]):
        by_layer: dict[int, list[int]] = {}
        for layer, head in heads:
            by_layer.setdefault(layer, []).append(head)
        want = [naive_loss(reference, s, by_layer) for s in batch]
        assert np.abs(got[row] - want).max() <= 1e-5


def test_ablating_nothing_changes_nothing() -> None:
    reference = tiny_model("qwen3")
    batch = loss_batch(samples(), reference.device)
    with torch.inference_mode():
        clean = run_clean(reference, batch)
        from circuitseer_core.detection.replay import variant_losses

        for layer in range(2):
            stack = variant_losses(reference, batch, clean, layer, [None, None], AblationMode())
            assert (stack - clean.losses).abs().max() <= 1e-6


def test_padding_and_batch_composition_change_nothing() -> None:
    reference = tiny_model("llama")
    batch = samples()
    together = measured(reference, batch)
    alone = torch.cat([measured(reference, [s]) for s in batch], -1)
    assert (together - alone).abs().max() <= 1e-5
    small = measured(reference, batch, stack_tokens=1)
    assert (together - small).abs().max() <= 1e-5


def test_full_forwards_give_what_replay_gives() -> None:
    reference = tiny_model("llama", layers=3)
    batch = samples()
    difference = measured(reference, batch) - measured(reference, batch, replay=False)
    assert difference.abs().max() <= 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_clean_copy_rides_where_it_is_asked_for_and_changes_nothing(dtype: torch.dtype) -> None:
    reference = tiny_model("llama")
    reference.model.to(dtype)
    engine = Ablator(reference, AblationMode(), stack_tokens=10_000)
    batch = loss_batch(samples(), reference.device)
    with torch.inference_mode():
        alone = engine.measure(batch, 0, range(4), noise=False)
        beside = engine.measure(batch, 0, range(4), noise=True)
    assert not alone.noise and len(beside.noise) == batch.size
    tolerance = 1e-5 if dtype == torch.float32 else 5e-2
    assert (alone.delta - beside.delta).abs().max() <= tolerance


def test_self_check_finds_state_that_bypasses_the_hidden_states() -> None:
    reference = tiny_model("llama", layers=3)
    batch = loss_batch(samples(), reference.device)
    with torch.inference_mode():
        assert replay_is_exact(reference, batch)
    kept: dict[str, Tensor] = {}
    first, last = reference.layers[0], reference.layers[2]

    def keep(module: Any, args: Any, output: Tensor) -> None:
        kept["hidden"] = output

    def add(module: Any, args: Any, output: Tensor) -> Tensor:
        return output + kept["hidden"]

    first.register_forward_hook(keep)
    last.register_forward_hook(add)
    with torch.inference_mode():
        assert not replay_is_exact(reference, batch)


def test_shared_key_values_fall_back_to_full_forwards(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, Gemma3nTextConfig

    from circuitseer_core.model.attention import NAME
    from tests.support.tiny_models import _draw_weights, tiny_tokenizer

    config = Gemma3nTextConfig(
        vocab_size=320,
        vocab_size_per_layer_input=320,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        num_kv_shared_layers=2,
        hidden_size_per_layer_input=8,
        laurel_rank=4,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention"] * 2,
        activation_sparsity_pattern=[0.0] * 4,
        max_position_embeddings=128,
    )
    model = AutoModelForCausalLM.from_config(config, attn_implementation=NAME, dtype=torch.float32)
    _draw_weights(model, 1.0, 0)
    reference = ReferenceModel(model, tiny_tokenizer(), name="shared")
    batch = samples(2)
    with torch.inference_mode():
        assert not replay_is_exact(reference, loss_batch(batch, reference.device))
    want = expected(reference, batch)
    got = measured(reference, batch, replay=False)
    assert (got - want).abs().max() <= 1e-5


def test_clean_loss_is_the_models_own(tmp_path: Path) -> None:
    for kind in ("gemma2", "gpt2", "llama"):  # gemma2 caps its final logits
        reference = tiny_model(kind)
        batch = samples()
        with torch.inference_mode():
            got = clean_losses(reference, loss_batch(batch, reference.device))
        want = [naive_loss(reference, s, {}) for s in batch]
        assert np.abs(got.numpy() - want).max() <= 1e-5


def test_out_of_memory_halves_the_stack_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = tiny_model("llama")
    batch = samples()
    want = measured(reference, batch, stack_tokens=10_000)
    limit = 130  # tokens in one forward pass: not even one variant of the whole batch at first
    true_hidden = ReferenceModel.hidden

    def hidden(self: ReferenceModel, ids: Tensor) -> Tensor:
        if ids.numel() > limit:
            raise torch.OutOfMemoryError("injected")
        return true_hidden(self, ids)

    monkeypatch.setattr(ReferenceModel, "hidden", hidden)
    assert (measured(reference, batch, stack_tokens=10_000) - want).abs().max() <= 1e-5
    limit = 60
    assert (measured(reference, batch, stack_tokens=10_000) - want).abs().max() <= 1e-5
    limit = 10
    with pytest.raises(UserError, match="max-length"):
        measured(reference, batch, stack_tokens=10_000)


def test_out_of_memory_halves_joint_losses_and_head_means(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = tiny_model("llama")
    batch = samples()
    sets = [[(0, 0)], [(1, 1), (0, 2)], [(1, 0)]]
    want_losses, want_means = joint_loss(reference, batch, sets), mean_outputs(reference, batch)
    limit = max(sample.n_tokens for sample in batch)  # one sample, one set
    true_hidden = ReferenceModel.hidden

    def hidden(self: ReferenceModel, ids: Tensor) -> Tensor:
        states = true_hidden(self, ids)  # hooks have seen the pass that then fails
        if ids.numel() > limit:
            raise RuntimeError("DefaultCPUAllocator: not enough memory")
        return states

    monkeypatch.setattr(ReferenceModel, "hidden", hidden)
    assert np.abs(joint_loss(reference, batch, sets) - want_losses).max() <= 1e-5
    for layer, means in mean_outputs(reference, batch).items():
        torch.testing.assert_close(means, want_means[layer], atol=1e-5, rtol=1e-5)
    limit = 3
    for work in (
        lambda: joint_loss(reference, batch, sets),
        lambda: mean_outputs(reference, batch),
    ):
        with pytest.raises(UserError, match="max-length"):
            work()


def test_a_model_without_attention_heads_is_refused_by_name() -> None:
    from transformers import AutoModelForCausalLM, MambaConfig

    from tests.support.tiny_models import tiny_tokenizer

    config = MambaConfig(vocab_size=320, hidden_size=16, num_hidden_layers=1, state_size=4)
    model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(UserError, match="MambaForCausalLM has no attention heads"):
        ReferenceModel(model, tiny_tokenizer(), name="mamba")


def test_hybrid_models_leave_out_layers_without_heads() -> None:
    from transformers import AutoModelForCausalLM, Lfm2Config

    from circuitseer_core.model.attention import NAME
    from tests.support.tiny_models import _draw_weights, tiny_tokenizer

    config = Lfm2Config(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["conv", "full_attention", "conv", "full_attention"],
    )
    model = AutoModelForCausalLM.from_config(config, attn_implementation=NAME, dtype=torch.float32)
    _draw_weights(model, 1.5, 0)
    reference = ReferenceModel(model, tiny_tokenizer(), name="hybrid")
    assert reference.heads_per_layer == [0, 4, 0, 4]
    batch = samples()
    with torch.inference_mode():
        assert replay_is_exact(reference, loss_batch(batch, reference.device))
    want = expected(reference, batch)
    assert want.abs().median() >= 1e-3
    assert (measured(reference, batch) - want).abs().max() <= 1e-5
