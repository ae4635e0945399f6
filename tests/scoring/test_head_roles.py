"""Roles of heads against whole attention matrices, query by query and key by key."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

from circuitseer_core.model.encoding import EncodedText
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring import head_roles as module
from circuitseer_core.scoring.head_roles import head_roles, roles_of_texts
from circuitseer_core.scoring.score import ScoreSettings, score
from tests.support.detected_run import detected_run, questions, write_rows
from tests.support.naive import naive_attention
from tests.support.tiny_models import tiny_model


def text(length: int, seed: int, special: int = 1) -> EncodedText:
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, 40, length).tolist()  # few enough that some come again
    return EncodedText(ids, list(range(length)), [i < special for i in range(length)], length)


def matrices(reference: ReferenceModel, ids: list[int]) -> dict[int, Any]:
    """layer -> (H, T, T) from the architecture's own eager attention."""
    seen: dict[int, Any] = {}
    home = sys.modules[type(reference.layers[0].self_attn).__module__]
    eager = home.eager_attention_forward

    def keep(module: Any, *args: Any, **kwargs: Any) -> Any:
        output, weights = eager(module, *args, **kwargs)
        seen[module.layer_idx] = weights[0].double().numpy()
        return output, weights

    with pytest.MonkeyPatch.context() as patch, torch.no_grad(), naive_attention(reference):
        patch.setattr(home, "eager_attention_forward", keep)
        reference.model(input_ids=torch.tensor([ids]), use_cache=False)
    return seen


def naive(attention: Any, encoded: EncodedText) -> dict[str, float]:
    """Sums of one head over the queries of one text, in plain loops."""
    ids, out = encoded.ids, dict.fromkeys(("first", "sink", "previous", "same", "distance"), 0.0)
    for i in range(1, len(ids)):
        row = attention[i]
        out["first"] += row[0]
        out["sink"] += 1 - row[: i + 1].sum()
        out["previous"] += row[i - 1]
        for j in range(i + 1):
            out["sink"] += row[j] if j == 0 or encoded.special[j] else 0.0
            out["same"] += row[j] if j < i and ids[j] == ids[i] else 0.0
            out["distance"] += row[j] * (i - j)
    return out


@pytest.mark.parametrize("kind", ["llama", "gemma3", "gpt_oss"])
def test_shares_are_those_of_whole_matrices(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = tiny_model(kind)
    monkeypatch.setattr(module, "_QUERIES", 7)  # blocks that end in the middle
    texts = [("a", text(19, 1, special=2)), ("b", text(11, 2))]
    roles = roles_of_texts(reference, texts)
    whole = [matrices(reference, encoded.ids) for _, encoded in texts]
    queries = sum(len(e.ids) - 1 for _, e in texts)
    repeats = sum(e.ids[i] in e.ids[:i] for _, e in texts for i in range(1, len(e.ids)))
    assert roles.queries == queries and repeats > 0
    for row in roles.table.itertuples():
        sums = [naive(w[row.layer][row.head], e) for w, (_, e) in zip(whole, texts, strict=True)]
        for name in ("first", "sink", "previous", "same", "distance"):
            count = repeats if name == "same" else queries
            expected = sum(s[name] for s in sums) / count
            assert getattr(row, name) == pytest.approx(expected, abs=1e-4), name
    for number, (_, encoded) in enumerate(texts):
        received = roles.received((1, 2))[number]
        assert received == pytest.approx(
            whole[number][1][2].sum(0) / len(encoded.ids) * len(encoded.ids), abs=2e-2
        )


def test_uniform_shares_are_those_of_equal_weights() -> None:
    encoded = text(15, 3)
    roles = roles_of_texts(tiny_model("llama"), [("a", encoded)])
    equal = np.tril(np.ones((15, 15))) / np.arange(1, 16)[:, None]
    sums = naive(equal, encoded)
    first = roles.table.iloc[0]
    assert first["uniform_first"] == pytest.approx(sums["first"] / 14, abs=1e-6)
    assert first["uniform_distance"] == pytest.approx(sums["distance"] / 14, abs=1e-5)
    assert first["uniform_previous"] == pytest.approx(sums["previous"] / 14, abs=1e-6)


def test_without_a_repeated_token_its_share_is_unknown() -> None:
    encoded = EncodedText(list(range(1, 9)), list(range(8)), [False] * 8, 8)
    table = roles_of_texts(tiny_model("llama"), [("a", encoded)]).table
    assert table["same"].isna().all() and table["uniform_same"].isna().all()


def test_top_tokens_leave_sinks_aside() -> None:
    roles = roles_of_texts(tiny_model("llama"), [("a", text(19, 1)), ("b", text(11, 2))])
    top = roles.top_tokens((0, 1), 5)
    assert len(top) == 2 and top[0][2] >= top[1][2]
    for number, token, value in top:
        received = roles.received((0, 1))[number]
        assert token > 0 and value == pytest.approx(received[1:].max())


def test_texts_are_those_that_were_scored(tmp_path: Any) -> None:
    run = detected_run(tmp_path)
    data = write_rows(tmp_path / "toy.jsonl", questions(30))
    score(run, ScoreSettings(data=[data], device="cpu"), progress=False)
    run = Run.open(run.path)
    reference = tiny_model("llama")
    roles = head_roles(run, reference, samples=4)
    assert len(roles.texts) == 4 and len(roles.table) == len(reference.heads)
    scores = run.scores("default", ["id", "prompt"]).set_index("id")
    for one in roles.texts:
        assert "".join(one.pieces) == scores.loc[one.id, "prompt"]
    again = head_roles(run, reference, samples=4)
    assert [t.id for t in again.texts] == [t.id for t in roles.texts]
