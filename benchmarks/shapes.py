"""Models to measure on: real ones, and random weights of a real model's shape (no hub needed)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch

from circuitseer_core.model.attention import NAME
from circuitseer_core.model.loading import load_model, resolve_device, resolve_dtype
from circuitseer_core.model.reference import ReferenceModel

QWEN_MATH_1_5B = {
    "vocab_size": 151_936,
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "max_position_embeddings": 16_384,
    "tie_word_embeddings": True,
}
"""Qwen2.5-Math-1.5B's configuration, from its published config.json."""
QWEN_7B = QWEN_MATH_1_5B | {
    "vocab_size": 152_064,
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
}
"""Qwen2.5-7B's, likewise."""
_TINY = {"vocab_size": 1024, "hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 4}
SHAPES = {
    "qwen-math-1.5b": QWEN_MATH_1_5B,
    "qwen-7b": QWEN_7B,
    "tiny": QWEN_MATH_1_5B | _TINY,
}
PEAKED = 1.8
"""Factor on query and key projections: logits with a standard deviation of 2 instead of 0.6."""
_TEXT = (
    "Tom has apples and buys more boxes of pencils than Ann sells in a week how many are left if "
    "each of the trains travels for hours at the same speed so the total cost is then divided by "
    "half of what remains find the greatest common divisor of both numbers and add the first one"
)
WORDS = _TEXT.split()


def load(spec: str, dtype: str = "auto", device: str = "auto") -> ReferenceModel:
    """A model by spec, or random weights of a named shape with a tokenizer made here."""
    if spec not in SHAPES:
        return load_model(spec, dtype=dtype, device=device)[0]
    from transformers import AutoModelForCausalLM, Qwen2Config

    on = resolve_device(device)
    torch.manual_seed(0)
    with on:
        model = AutoModelForCausalLM.from_config(
            Qwen2Config(**SHAPES[spec]),
            attn_implementation=NAME,
            dtype=resolve_dtype(dtype, on),
        )
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight.mul_(PEAKED)
            layer.self_attn.k_proj.weight.mul_(PEAKED)
    return ReferenceModel(model, tokenizer(), name=spec)


@lru_cache(maxsize=1)
def tokenizer() -> Any:
    """A byte-level BPE in which every word of WORDS is one token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<end>"],
        show_progress=False,
    )
    bpe.train_from_iterator([" ".join(WORDS)] * 2, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<end>")


def problems(count: int, shortest: int, longest: int, seed: int = 0) -> list[dict[str, str]]:
    """Rows whose prompt has ``shortest`` to ``longest`` words, and a response half as long."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        words = rng.choice(WORDS, int(rng.integers(shortest, longest + 1))).tolist()
        answer = rng.choice(WORDS, max(4, len(words) // 2)).tolist()
        rows.append({"id": str(number), "prompt": " ".join(words), "response": " ".join(answer)})
    return rows
