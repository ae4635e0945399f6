"""Models to measure on: real ones, and random weights of a real model's shape (no hub needed)."""

from __future__ import annotations

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
SHAPES = {
    "qwen-math-1.5b": QWEN_MATH_1_5B,
    "tiny": QWEN_MATH_1_5B | {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 4},
}


def load(spec: str, dtype: str = "auto", device: str = "auto") -> ReferenceModel:
    """A model by spec, or random weights of a named shape with the embedded model's tokenizer."""
    if spec not in SHAPES:
        return load_model(spec, dtype=dtype, device=device)[0]
    from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config

    from circuitseer_core.model import demo

    on = resolve_device(device)
    with on:
        model = AutoModelForCausalLM.from_config(
            Qwen2Config(**SHAPES[spec]),
            attn_implementation=NAME,
            dtype=resolve_dtype(dtype, on),
        )
    tokenizer = (
        AutoTokenizer.from_pretrained(demo.model_folder()) if demo.model_available() else None
    )
    return ReferenceModel(model, tokenizer, name=spec)
