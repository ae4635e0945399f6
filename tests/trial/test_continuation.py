"""Rows of one batch, each with heads of its own ablated, are loops that run the whole text."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from circuitseer_core.detection.ablation import AblationMode, mean_outputs
from circuitseer_core.errors import UserError
from circuitseer_core.model import generation
from circuitseer_core.model.attention import AttentionCall
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.trial.continuation import continue_greedily
from tests.support.naive import naive_continuation
from tests.support.tiny_models import KINDS, random_ids, tiny_model

HEADS = [(0, 1), (1, 0), (1, 3)]
BY_LAYER = {0: [1], 1: [0, 3]}
PROMPT = random_ids(1, 13, seed=4)[0].tolist()  # longer than a sliding window
MOST = 12


@pytest.fixture(autouse=True)
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random models end a text at random."""
    monkeypatch.setattr(generation, "end_tokens", lambda reference: [])


@pytest.mark.parametrize("kind", list(KINDS))
def test_clean_and_ablated_are_the_naive_loops(kind: str) -> None:
    # A random GPT-2 whose head is its embedding repeats its last token, whatever is ablated.
    untied = {"tie_word_embeddings": False} if kind == "gpt2" else {}
    reference = tiny_model(kind, **untied)
    rows = continue_greedily(reference, PROMPT, [[], HEADS], ablation=AblationMode(), most=MOST)
    assert rows[0] == naive_continuation(reference, PROMPT, {}, MOST)
    assert rows[1] == naive_continuation(reference, PROMPT, BY_LAYER, MOST)
    assert rows[0] != rows[1]


def test_every_step_is_told_while_it_is_written() -> None:
    reference = tiny_model("llama")
    seen: list[list[list[int]]] = []
    rows = continue_greedily(
        reference, PROMPT, [[], HEADS], ablation=AblationMode(), most=MOST, on_tokens=seen.append
    )
    assert len(seen) == MOST
    for step, so_far in enumerate(seen, start=1):
        assert so_far == [row[:step] for row in rows]


def test_what_is_told_ends_where_the_text_does(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = tiny_model("llama")
    how: dict[str, Any] = {"ablation": AblationMode(), "most": MOST}
    whole = continue_greedily(reference, PROMPT, [[], HEADS], **how)
    stop = whole[1][3]
    monkeypatch.setattr(generation, "end_tokens", lambda reference: [stop])
    seen: list[list[list[int]]] = []
    rows = continue_greedily(reference, PROMPT, [[], HEADS], **how, on_tokens=seen.append)
    assert rows[1] == whole[1][: whole[1].index(stop)] and seen[-1] == rows


@pytest.mark.parametrize(("mode", "epsilon"), [("scaled", 0.3), ("zero", 0.0), ("mean", 0.0)])
def test_other_ablations_are_the_naive_loops(mode: str, epsilon: float) -> None:
    reference = tiny_model("mistral")
    texts = [Encoded("a", "a", random_ids(1, 9)[0].tolist(), 1)]
    means = mean_outputs(reference, texts) if mode == "mean" else None
    ablation = AblationMode(mode, epsilon, means)
    row = continue_greedily(reference, PROMPT, [HEADS], ablation=ablation, most=MOST)[0]
    how: dict[str, Any] = {"mode": mode, "epsilon": epsilon, "means": means or {}}
    assert row == naive_continuation(reference, PROMPT, BY_LAYER, MOST, **how)


def test_a_mean_of_the_new_value_alone_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake that a cache invites: to average over the tokens of the step."""
    reference = tiny_model("llama")
    right = AttentionCall.undifferentiated

    def wrong(call: AttentionCall, rows: torch.Tensor, heads: torch.Tensor) -> torch.Tensor:
        if call.query.shape[2] > 1:
            return right(call, rows, heads)
        return call.value[rows, heads // call.group_size][:, -1:].float()

    monkeypatch.setattr(AttentionCall, "undifferentiated", wrong)
    row = continue_greedily(reference, PROMPT, [HEADS], ablation=AblationMode(), most=MOST)[0]
    assert row != naive_continuation(reference, PROMPT, BY_LAYER, MOST)


def test_a_prompt_without_room_is_one_line() -> None:
    reference = tiny_model("llama")
    with pytest.raises(UserError, match="cannot be continued"):
        continue_greedily(reference, [], [[]], ablation=AblationMode(), most=3)
    with pytest.raises(UserError, match="512 tokens cannot be continued"):
        continue_greedily(reference, [1] * 512, [[]], ablation=AblationMode(), most=3)


def test_rows_that_memory_does_not_hold_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = tiny_model("llama")

    def full(*args: Any, **options: Any) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(type(reference), "generate", full)
    with pytest.raises(UserError, match="does not fit in memory"):
        continue_greedily(reference, PROMPT, [[], HEADS], ablation=AblationMode(), most=3)
