"""A small language model of random weights, as a second target for the training study.

    python benchmarks/small_target.py FOLDER --data DATA [--data DATA …]

Writes a plain Transformers folder: a Qwen2 of a few million parameters and a byte-level BPE of
4,096 tokens learned from DATA (which should hold no held-out text). It knows nothing: trained on an
arm alone, it shows what that arm can teach, and nothing about large models. The weights follow
from ``--seed``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.sample import Sample
from tests.support.tiny_models import learned_bpe

END = "<|end|>"


def main() -> None:
    """Write the folder and say how large the model is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    samples = [entry for entry in Corpus(asked.data) if isinstance(entry, Sample)]
    texts = [f"{sample.prompt}\n{sample.response or ''}" for sample in samples]
    learned = learned_bpe(texts, asked.vocabulary, END)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=learned, eos_token=END)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=asked.width,
        intermediate_size=3 * asked.width,
        num_hidden_layers=asked.layers,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(asked.seed)
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(asked.folder)
    tokenizer.save_pretrained(asked.folder)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer):,} tokens")


if __name__ == "__main__":
    main()
