"""A small language model of random weights, as a second target for the training study.

    python benchmarks/small_target.py FOLDER --data DATA [--data DATA …]

Writes a plain Transformers folder: a Qwen2 of a few million parameters and a byte-level BPE of
4,096 tokens learned from DATA (which should hold no held-out text). It knows nothing: trained on an
arm alone, it shows what that arm can teach, and nothing about large models. With ``--steps`` it
learns to predict DATA itself, prompts and responses, and is then a second trained model of another
family, small as it is, to compare a run with. The weights follow from ``--seed``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from transformers import (
    AutoModelForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Trainer,
    TrainingArguments,
    default_data_collator,
)

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.sample import Sample
from tests.support.tiny_models import learned_bpe

END = "<|end|>"
BLOCK = 256
"""Tokens of one training example: texts, ended and put together, cut anew."""
BLOCKS_A_STEP = 8
LEARNING_RATE = 3e-3


def main() -> None:
    """Write the folder and say how large the model is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=0, help="of training, 2,048 tokens each")
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
    if asked.steps:
        loss = trained(model, tokenizer, texts, asked.steps, asked.seed)
        print(f"{asked.steps:,} steps; mean loss of the last tenth {loss:.3f} nats a token")
    model.save_pretrained(asked.folder)
    tokenizer.save_pretrained(asked.folder)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer):,} tokens")


def trained(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    steps: int,
    seed: int,
) -> float:
    """Train in place to predict the texts; the mean loss of the last tenth of steps, in nats."""
    end = tokenizer.eos_token_id
    ids = [token for own in tokenizer(list(texts))["input_ids"] for token in (*own, end)]
    whole = len(ids) // BLOCK * BLOCK
    blocks = torch.tensor(ids[:whole]).view(-1, BLOCK)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=BLOCKS_A_STEP,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="cosine",
            warmup_steps=max(1, steps // 20),
            seed=seed,
            save_strategy="no",
            logging_steps=max(1, steps // 10),
            report_to="none",
            dataloader_pin_memory=torch.cuda.is_available(),
        )
        examples = [{"input_ids": block, "labels": block} for block in blocks]
        trainer = Trainer(model, arguments, default_data_collator, examples)
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return float(losses[-1])


if __name__ == "__main__":
    main()
