"""Greedy continuations, against one uncached forward pass a token under naive ablation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from circuitseer_core.detection.ablation import AblationMode
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.generation import end_tokens, greedy_continuations
from circuitseer_core.model.reference import ReferenceModel
from tests.support import naive
from tests.support.tiny_models import random_ids, tiny_model

HEADS = [(0, 1), (1, 0), (1, 3)]
NEW = 6


def prompts() -> list[list[int]]:
    """Of different lengths, longer than a sliding window of eight."""
    return [random_ids(1, n, seed=n)[0].tolist() for n in (5, 17, 12)]


def naive_continuation(
    reference: ReferenceModel, prompt: list[int], heads: list[tuple[int, int]], **how: object
) -> list[int]:
    """Token by token, the whole sequence every time, no cache and no padding."""
    by_layer: dict[int, list[int]] = {}
    for layer, head in heads:
        by_layer.setdefault(layer, []).append(head)
    ids = list(prompt)
    stops = set(end_tokens(reference))
    naive._target.update({"heads": by_layer, "mode": "uniform", "epsilon": 0.0} | how)
    with torch.no_grad(), naive.naive_attention(reference):
        for _ in range(NEW):
            logits = reference.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
            token = int(logits.argmax())
            if token in stops:
                break
            ids.append(token)
    naive._target.update(heads={})
    return ids[len(prompt) :]


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3", "gpt2", "mistral", "gpt_oss"])
def test_ablated_writing_is_that_of_uncached_passes(kind: str) -> None:
    reference = tiny_model(kind)
    for heads in ([], HEADS):
        got = greedy_continuations(
            reference,
            prompts(),
            max_new_tokens=NEW,
            intervene=(lambda rows, h=heads: AblationMode().plan_sets([h], rows)),
        )
        assert got == [naive_continuation(reference, p, heads) for p in prompts()]


@pytest.mark.parametrize("how", [{"mode": "zero"}, {"mode": "scaled", "epsilon": 0.3}])
def test_other_ablations_too(how: dict[str, object]) -> None:
    reference = tiny_model("llama")
    mode = AblationMode(**how)  # type: ignore[arg-type]
    got = greedy_continuations(
        reference,
        prompts(),
        max_new_tokens=NEW,
        intervene=lambda rows: mode.plan_sets([HEADS], rows),
    )
    assert got == [naive_continuation(reference, p, HEADS, **how) for p in prompts()]


def test_an_ablation_changes_what_is_written() -> None:
    reference = tiny_model("llama")
    clean = greedy_continuations(reference, prompts(), max_new_tokens=NEW)
    everything = greedy_continuations(
        reference,
        prompts(),
        max_new_tokens=NEW,
        intervene=lambda rows: AblationMode().plan_sets([reference.heads], rows),
    )
    assert clean != everything


@pytest.mark.parametrize(
    "default", [{"repetition_penalty": 1.3}, {"no_repeat_ngram_size": 1}, {"suppress_tokens": []}]
)
def test_the_models_own_settings_change_nothing_of_what_is_written(default: dict[str, Any]) -> None:
    reference = tiny_model("llama")
    plain = greedy_continuations(reference, prompts(), max_new_tokens=30)
    if "suppress_tokens" in default:
        default = {"suppress_tokens": plain[0][:1]}
    own = GenerationConfig(eos_token_id=0, **default)
    reference.model.generation_config = own
    assert greedy_continuations(reference, prompts(), max_new_tokens=30) == plain
    assert reference.model.generation_config is own


def test_batches_end_of_text_and_progress() -> None:
    reference = tiny_model("llama")
    progress: list[int] = []
    apart = greedy_continuations(
        reference, prompts(), max_new_tokens=NEW, token_budget=1, on_prompts=progress.append
    )
    assert progress == [1, 1, 1]
    assert apart == greedy_continuations(reference, prompts(), max_new_tokens=NEW)
    reference.model.generation_config.eos_token_id = [apart[0][2]]
    ended = greedy_continuations(reference, prompts()[:1], max_new_tokens=NEW)
    assert ended == [apart[0][: apart[0].index(apart[0][2])]]


def test_the_models_positions_bound_it() -> None:
    reference = tiny_model("llama", max_position_embeddings=20)
    long = [random_ids(1, 18)[0].tolist(), random_ids(1, 20)[0].tolist()]
    got = greedy_continuations(reference, long, max_new_tokens=NEW, token_budget=1)
    assert len(got[0]) <= 2 and got[1] == []
    mixed = [*long, random_ids(1, 17)[0].tolist(), random_ids(1, 5)[0].tolist()]
    progress: list[int] = []
    together = greedy_continuations(
        reference, mixed, max_new_tokens=NEW, on_prompts=progress.append
    )
    alone = [greedy_continuations(reference, [p], max_new_tokens=NEW)[0] for p in mixed]
    assert together == alone and len(alone[3]) == NEW
    assert sum(progress) == 4


def test_encoded_prompts_are_those_of_the_loss() -> None:
    from circuitseer_core.data.sample import Sample
    from circuitseer_core.model.encoding import encode_for_loss, encode_prompt

    reference = tiny_model("llama")
    sample = Sample("a", "x", "What is 12 + 30?", "42", {})
    encoded = encode_for_loss(reference.tokenizer, sample, template="plain")
    assert isinstance(encoded, Encoded)
    assert encode_prompt(reference.tokenizer, sample.prompt, "plain") == (
        "What is 12 + 30?\n",
        encoded.ids[: encoded.loss_from],
    )
