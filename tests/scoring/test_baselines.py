"""Perplexity and IFD against plain cross-entropies of whole forward passes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from circuitseer_core.data.sample import Sample
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.scoring.baselines import baseline_scores
from circuitseer_core.scoring.score import score
from circuitseer_core.scoring.settings import ScoreSettings
from tests.support.detected_run import detected_run, questions, write_rows
from tests.support.tiny_models import tiny_model

SAMPLES = [
    Sample("a", "x", "What is 12 + 30?", "12 + 30 = 42", {}),
    Sample("b", "x", "Solve for x: 3x + 5 = 20.", "Subtract 5, divide by 3, so x = 5.", {}),
    Sample("c", "x", "No answer here.", None, {}),
    Sample("d", "x", "One token?", "7", {}),
    Sample("e", "x", "Too long " * 400, "yes it is", {}),
]


def losses(reference: ReferenceModel, prefix: Sequence[int], response: Sequence[int]) -> np.ndarray:
    """Loss of every response token that something stands before."""
    ids = torch.tensor([[*prefix, *response]])
    with torch.inference_mode():
        logits = reference.model(input_ids=ids).logits[0].double()
    log_probs = logits.log_softmax(-1)
    at = range(max(1, len(prefix)), ids.shape[1])
    return np.array([-log_probs[i - 1, ids[0, i]].item() for i in at])


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("budget", [10, 4000])
def test_baselines_are_their_definitions(bos: bool, budget: int) -> None:
    reference = tiny_model("llama", bos=bos)
    scores = baseline_scores(reference, SAMPLES, template="plain", token_budget=budget)
    tokenizer = reference.tokenizer
    for i, sample in enumerate(SAMPLES[:2]):
        prompt = tokenizer(sample.prompt + "\n")["input_ids"]
        response = tokenizer(sample.response, add_special_tokens=False)["input_ids"]
        after_prompt = losses(reference, prompt, response)
        alone = losses(reference, [0] if bos else [], response)
        assert scores["perplexity"][i] == pytest.approx(np.exp(after_prompt.mean()), rel=1e-4)
        wanted = (after_prompt if bos else after_prompt[1:]).mean() / alone.mean()
        assert scores["ifd"][i] == pytest.approx(wanted, rel=1e-4)


def test_where_they_are_not_defined_they_are_null() -> None:
    progress: list[int] = []
    scores = baseline_scores(
        tiny_model("llama"), SAMPLES, template="plain", token_budget=500, on_batch=progress.append
    )
    assert sum(progress) == 3  # those with both losses; a sample counts once
    assert np.isfinite(scores["perplexity"]).tolist() == [True, True, False, True, False]
    # Without a BOS nothing predicts a response's only token.
    assert np.isfinite(scores["ifd"]).tolist() == [True, True, False, False, False]


def test_they_become_columns_and_the_scores_stay(tmp_path: Path) -> None:
    run = detected_run(tmp_path)
    data = [write_rows(tmp_path / "questions.jsonl", questions(30))]
    options = {"data": data, "heads": "2", "device": "cpu", "token_budget": 500}
    score(run, ScoreSettings(**options), progress=False)
    result = score(run, ScoreSettings(**options, name="all", baselines=True), progress=False)
    assert result.scorers[-2:] == ["perplexity", "ifd"] and result.template == "plain"
    with_them, without = run.scores("all"), run.scores()
    assert set(with_them.columns) - set(without.columns) == {"perplexity", "ifd"}
    assert with_them[without.columns].equals(without)
    answered = with_them["n_response_tokens"].notna()
    assert (with_them["perplexity"].notna() == answered).all() and 0 < answered.sum() < 30
