"""Tiny random language models of many architectures, and a tokenizer made in this process.

A freshly initialised model attends almost uniformly, so ablating a head would change nothing and
a test on it would pass for code that does nothing. Weights here are drawn wide enough (``scale``)
that attention is peaked and a head's ablation moves the loss by 1e-2 nats and more.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from circuitseer_core.model.attention import NAME
from circuitseer_core.model.reference import ReferenceModel

VOCAB = 320
WINDOW = 8
BOS = "<s>"
_TEXT = [
    "Tom has 12 apples and buys 30 more. How many apples does he have now? 12 + 30 = 42",
    "What is the greatest common divisor of 84 and 126? The answer is 42.",
    "Solve for x: 3x + 5 = 20. Subtract 5 from both sides, then divide by 3, so x = 5.",
]

_SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
    "tie_word_embeddings": False,
}
_GQA = {"num_key_value_heads": 2, "head_dim": 16}
_MIXED = {"sliding_window": WINDOW, "layer_types": "mixed"}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_GPT2 = {"n_embd": 48, "n_head": 4, "n_positions": 512, "n_inner": 64, "vocab_size": VOCAB}

# Transformers' model type and what sets it apart; sequences in tests are longer than WINDOW.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", _GQA),
    "qwen2": ("qwen2", {"num_key_value_heads": 2}),
    "qwen3": ("qwen3", _GQA),
    "qwen3_moe": ("qwen3_moe", _GQA | _EXPERTS),
    "gemma2": ("gemma2", _GQA | _MIXED | {"query_pre_attn_scalar": 16}),
    "gemma3": ("gemma3_text", _GQA | _MIXED | {"query_pre_attn_scalar": 16}),
    "gpt2": ("gpt2", _GPT2 | {"bos_token_id": 0, "eos_token_id": 0}),
    "gpt_neox": ("gpt_neox", {}),
    "gpt_oss": ("gpt_oss", _GQA | _MIXED | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "mistral": ("mistral", _GQA | {"sliding_window": WINDOW}),
    "olmo2": ("olmo2", {"num_key_value_heads": 2}),
    "phi3": ("phi3", {"num_key_value_heads": 2}),
}


def learned_bpe(texts: Sequence[str], vocabulary: int, special: str) -> Tokenizer:
    """A byte-level BPE of at most so many tokens learned from texts, with one special token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@lru_cache(maxsize=2)
def tiny_tokenizer(bos: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most 320 tokens; with ``bos`` it puts a special token in front."""
    tokenizer = learned_bpe(_TEXT, VOCAB, BOS)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", special_tokens=[(BOS, 0)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=BOS)


def tiny_config(kind: str, *, layers: int = 2, **changes: Any) -> Any:
    """The configuration of one kind; ``changes`` go to the configuration as they are."""
    model_type, special = KINDS[kind]
    sizes = dict(special) if kind == "gpt2" else _SIZES | special
    sizes["n_layer" if kind == "gpt2" else "num_hidden_layers"] = layers
    if sizes.get("layer_types") == "mixed":
        types = ["sliding_attention", "full_attention"]
        sizes["layer_types"] = [types[i % 2] for i in range(layers)]
    return AutoConfig.for_model(model_type, **(sizes | changes))


def tiny_model(
    kind: str = "llama",
    scale: float = 2.0,
    *,
    seed: int = 0,
    layers: int = 2,
    bos: bool = False,
    **changes: Any,
) -> ReferenceModel:
    """A random model of ``kind`` (a key of KINDS), instrumented, in float32 on the CPU.

    Args:
        scale: standard deviation of a weight times the root of its fan-in (1 keeps the size of
            what flows through; 2 makes attention peaked).
    """
    config = tiny_config(kind, layers=layers, **changes)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=NAME, dtype=torch.float32)
    _draw_weights(model, scale, seed)
    return ReferenceModel(model, tiny_tokenizer(bos), name=f"tiny-{kind}")


def save_tiny(folder: Path, kind: str = "llama", scale: float = 2.0, **options: Any) -> Path:
    """Write :func:`tiny_model` as a plain Transformers folder that ``load_model`` can open."""
    reference = tiny_model(kind, scale, **options)
    reference.model.save_pretrained(folder)
    reference.tokenizer.save_pretrained(folder)
    return folder


def random_ids(n_rows: int, n_tokens: int, seed: int = 0) -> torch.Tensor:
    """(n_rows, n_tokens) token ids."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, VOCAB, (n_rows, n_tokens), generator=generator)


@torch.no_grad()
def _draw_weights(model: torch.nn.Module, scale: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def normal(parameter: torch.Tensor, std: float) -> None:
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)

    for name, parameter in model.named_parameters():
        if "embed" in name or "wte" in name or "wpe" in name:
            # Gemma multiplies its embeddings by the root of the width.
            normal(parameter, 48**-0.5 if "gemma" in model.config.model_type else 1.0)
        elif parameter.ndim >= 2:
            normal(parameter, scale / max(parameter.shape[-2:]) ** 0.5)
        elif "q_norm" in name or "k_norm" in name:
            parameter.fill_(scale)  # a norm would undo the width of the projections
        elif name.endswith("bias") or "sinks" in name:
            normal(parameter, 0.3)
