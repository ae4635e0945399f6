"""Held-out loss and greedy accuracy of a model, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

import numpy as np
import pandas as pd
import torch

from circuitseer_core.aliases import Floats
from circuitseer_core.data.answers import extract_answer, lists_options, same_answer
from circuitseer_core.data.sample import Sample
from circuitseer_core.model.batches import group_by_tokens
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.generation import greedy_continuations
from circuitseer_core.model.losses import losses_of
from circuitseer_core.model.reference import ReferenceModel


def response_losses(
    reference: ReferenceModel,
    samples: Sequence[Encoded],
    *,
    bf16: bool = False,
    token_budget: int = 4096,
    on_samples: Callable[[int], object] = lambda n: None,
) -> Floats:
    """(n,) mean cross-entropy in nats of every sample's response."""
    losses = np.full(len(samples), np.nan)
    device = reference.device
    cast = torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()
    with torch.inference_mode(), cast:
        for group in group_by_tokens([s.n_tokens for s in samples], token_budget):
            losses[group] = losses_of(reference, [samples[i] for i in group])
            on_samples(len(group))
    return losses


def answerable(samples: Sequence[Encoded], texts: Mapping[str, Sample]) -> list[int]:
    """The samples whose response ends in an answer that can be compared, by number."""
    return [i for i, sample in enumerate(samples) if _reference_answer(texts[sample.id])]


def greedy_correct(
    reference: ReferenceModel,
    samples: Sequence[Encoded],
    texts: Mapping[str, Sample],
    *,
    max_new_tokens: int,
    bf16: bool = False,
    on_samples: Callable[[int], object] = lambda n: None,
) -> Floats:
    """(n,) 1 where the greedy continuation ends in the sample's answer, else 0."""
    device = reference.device
    cast = torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()
    prompts = [sample.ids[: sample.loss_from] for sample in samples]
    with cast:
        written = greedy_continuations(
            reference, prompts, max_new_tokens=max_new_tokens, on_prompts=on_samples
        )
    correct = np.zeros(len(samples))
    for i, (sample, ids) in enumerate(zip(samples, written, strict=True)):
        text = texts[sample.id]
        letter = lists_options(text.prompt)
        answer = extract_answer(reference.tokenizer.decode(ids), letter=letter)
        correct[i] = same_answer(answer, _reference_answer(text))
    return correct


def _reference_answer(sample: Sample) -> str | None:
    return extract_answer(sample.response or "", letter=lists_options(sample.prompt))


def held_out_table(samples: Sequence[Encoded], losses: Floats, correct: Floats) -> pd.DataFrame:
    """id, source, loss (nats), correct (0, 1, or NaN where no answer was asked for)."""
    return pd.DataFrame(
        {
            "id": [sample.id for sample in samples],
            "source": [sample.source for sample in samples],
            "loss": losses,
            "correct": correct,
        }
    )
