"""What a reference model must be, and one forward pass at a time."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from circuitseer_core.detection.ablation import AblationMode
from circuitseer_core.detection.replay import run_clean, variant_losses
from circuitseer_core.errors import UserError
from circuitseer_core.model.attention import NAME, AttentionCall
from circuitseer_core.model.batches import loss_batch
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.losses import clean_losses
from circuitseer_core.model.reference import ReferenceModel
from tests.support.tiny_models import KINDS, VOCAB, tiny_model

SIZES = {
    "vocab_size": VOCAB, "hidden_size": 48, "intermediate_size": 64, "num_attention_heads": 4,
    "num_hidden_layers": 2, "max_position_embeddings": 128, "pad_token_id": 0,
    "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip


def random_model(kind: str, **options: Any) -> torch.nn.Module:
    """A tiny model of an architecture that is no reference model, with weights that matter."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **(SIZES | options))
    model = AutoModelForCausalLM.from_config(config, attn_implementation=NAME)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize(
    ("kind", "options", "why"),
    [
        ("bert", {}, "no causal language model"),
        ("opt", {"ffn_dim": 64, "word_embed_proj_dim": 48}, "not those of its LM head"),
        (
            "llama4_text",
            {"num_key_value_heads": 2, "head_dim": 12, "intermediate_size_mlp": 64,
             "num_local_experts": 2, "interleave_moe_layer_step": 1},
            "cannot be instrumented",
        ),
        ("diffllama", {"num_key_value_heads": 4}, "attends more than once in a layer"),
        ("bloom", {"n_layer": 2, "n_head": 4}, "no attention heads that can be instrumented"),
    ],
)  # fmt: skip
def test_what_is_no_reference_model_is_refused_in_one_line(
    kind: str, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(UserError, match=why) as refusal:
        ReferenceModel(random_model(kind, **options), None, name=kind)
    assert "\n" not in str(refusal.value) and str(refusal.value).startswith(f"{kind}: ")


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_of_the_suite_passes(kind: str) -> None:
    assert tiny_model(kind).heads


def test_patterns_that_are_not_the_attention_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    true_pattern = AttentionCall.pattern

    def pattern(self: AttentionCall, *args: Any, **kwargs: Any) -> torch.Tensor:
        return true_pattern(self, *args, **kwargs).flip(0)  # each head shows another's

    monkeypatch.setattr(AttentionCall, "pattern", pattern)
    with pytest.raises(UserError, match="attention in layer 0, 1 is not that of its queries"):
        tiny_model("llama")


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2", "phi3"])
def test_logits_of_a_low_precision_head_are_float32(kind: str) -> None:
    reference = tiny_model(kind)
    reference.model.to(torch.bfloat16)
    with torch.inference_mode():
        hidden = reference.hidden(torch.arange(1, 30)[None])[0]
        got = reference.logits(hidden)
        states = hidden[None]
        reference.model.to(torch.float32)  # the same weights, exactly
        want = reference.logits(states[0].float())
    assert got.dtype == torch.float32
    # Equal to the last digits of float32; rounded to bf16 they would differ by 4e-3 of themselves.
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-4)


def batch_of(reference: ReferenceModel, tokens: int) -> Any:
    ids = [(7 * i + 3) % VOCAB for i in range(tokens)]
    return loss_batch([Encoded("a", "s", ids, 5)], reference.device)


def test_a_clean_pass_beside_a_replaying_thread_is_clean() -> None:
    reference = tiny_model("llama")
    batch = batch_of(reference, 24)
    with torch.inference_mode():
        clean = run_clean(reference, batch)
        want = variant_losses(reference, batch, clean, 1, [0, 1], AblationMode())
    stop, started, wrong = threading.Event(), threading.Event(), list[Any]()

    def replay() -> None:
        with torch.inference_mode():
            while not stop.is_set():
                losses = variant_losses(reference, batch, clean, 1, [0, 1], AblationMode())
                if not torch.equal(losses, want):
                    wrong.append(losses)
                started.set()

    thread = threading.Thread(target=replay)
    thread.start()
    started.wait()
    try:
        with torch.inference_mode():
            for _ in range(200):
                if not torch.equal(clean_losses(reference, batch), clean.losses):
                    wrong.append("clean")
    finally:
        stop.set()
        thread.join()
    assert not wrong
