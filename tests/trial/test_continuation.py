"""Continuations with a cache are those of a loop that runs the whole text for every token."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from circuitseer_core.detection.ablation import AblationMode, mean_outputs
from circuitseer_core.errors import UserError
from circuitseer_core.model.attention import AttentionCall
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.trial import continuation
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
    monkeypatch.setattr(continuation, "end_tokens", lambda reference: set())


@pytest.mark.parametrize("kind", list(KINDS))
def test_clean_and_ablated_are_the_naive_loops(kind: str) -> None:
    # A random GPT-2 whose head is its embedding repeats its last token, whatever is ablated.
    untied = {"tie_word_embeddings": False} if kind == "gpt2" else {}
    reference = tiny_model(kind, **untied)
    rows = continue_greedily(reference, PROMPT, [[], HEADS], ablation=AblationMode(), most=MOST)
    assert rows[0] == naive_continuation(reference, PROMPT, {}, MOST)
    assert rows[1] == naive_continuation(reference, PROMPT, BY_LAYER, MOST)
    assert rows[0] != rows[1]


@pytest.mark.parametrize("kind", ["llama", "gemma2", "mistral"])
@pytest.mark.parametrize(("mode", "epsilon"), [("scaled", 0.3), ("zero", 0.0), ("mean", 0.0)])
def test_other_ablations_are_the_naive_loops(kind: str, mode: str, epsilon: float) -> None:
    reference = tiny_model(kind)
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


def test_a_model_without_a_cache_is_run_on_the_whole_text(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = tiny_model("llama")

    def without(self: ReferenceModel, ids: torch.Tensor, cache: Any = None) -> Any:
        assert cache is None
        return self.hidden(ids), None

    monkeypatch.setattr(ReferenceModel, "hidden_after", without)
    rows = continue_greedily(reference, PROMPT, [[], HEADS], ablation=AblationMode(), most=5)
    assert rows[0] == naive_continuation(reference, PROMPT, {}, 5)
    assert rows[1] == naive_continuation(reference, PROMPT, BY_LAYER, 5)


def test_a_text_ends_where_the_model_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = tiny_model("llama")
    whole = naive_continuation(reference, PROMPT, {}, MOST)
    other = naive_continuation(reference, PROMPT, BY_LAYER, MOST)
    ends = {next(t for t in whole[3:] if t not in other)}
    monkeypatch.setattr(continuation, "end_tokens", lambda reference: ends)
    steps: list[int] = []
    rows = continue_greedily(
        reference, PROMPT, [[], HEADS], ablation=AblationMode(), most=MOST, on_step=steps.append
    )
    assert rows[0] == whole[: next(i for i, t in enumerate(whole) if t in ends)]
    assert rows[1] == other
    assert steps == list(range(1, MOST + 1))
    alone = continue_greedily(reference, PROMPT, [[]], ablation=AblationMode(), most=MOST)
    assert alone == [rows[0]]


def test_end_tokens_are_the_models_and_the_tokenizers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    reference = tiny_model("llama")
    assert continuation.end_tokens(reference) == {0}
    reference.model.generation_config = SimpleNamespace(eos_token_id=[5, 7])
    assert continuation.end_tokens(reference) == {0, 5, 7}


def test_a_prompt_without_room_is_one_line() -> None:
    reference = tiny_model("llama")
    with pytest.raises(UserError, match="cannot be continued"):
        continue_greedily(reference, [], [[]], ablation=AblationMode(), most=3)
    with pytest.raises(UserError, match="512 tokens cannot be continued"):
        continue_greedily(reference, [1] * 512, [[]], ablation=AblationMode(), most=3)
