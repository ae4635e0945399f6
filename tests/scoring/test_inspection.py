"""One sample under the live model: the same profile as scored, rows as eager attention has them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from circuitseer_core.data.sample import Sample
from circuitseer_core.errors import UserError
from circuitseer_core.model.encoding import EncodedText
from circuitseer_core.model.loading import load_run_model
from circuitseer_core.runs import texts as run_texts
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.inspection import _token_texts, inspect_sample
from circuitseer_core.scoring.score import score
from circuitseer_core.scoring.settings import ScoreSettings
from tests.support.detected_run import detected_run, write_rows
from tests.support.records import edit_run
from tests.support.tiny_models import BOS, tiny_tokenizer

LONG = "How many apples are in all the baskets that Tom has now? " * 60


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("inspection")
    run = detected_run(folder, max_position_embeddings=4096)
    rows = [{"id": i, "question": f"What is {i} + {i}? ✓", "answer": f"{2 * i}"} for i in range(5)]
    rows.append({"id": "long", "question": LONG, "answer": "5"})
    spec = "q=" + write_rows(folder / "q.jsonl", rows)
    options = {"data": [spec], "heads": "0.1,1.2,1.3", "device": "cpu"}
    score(run, ScoreSettings(**options, token_budget=2000), progress=False)
    score(run, ScoreSettings(**options, name="full", text="full"), progress=False)
    return run


def test_it_shows_what_was_scored(run: Run) -> None:
    stored = pd.read_parquet(run.score_parts()[0]).set_index("id")
    seen = inspect_sample(run, "q/3")
    assert seen.heads == [(0, 1), (1, 2), (1, 3)] and seen.text == "What is 3 + 3? ✓"
    assert "".join(text for text, _ in seen.tokens) == seen.text
    assert [start for _, start in seen.tokens] == stored.loc["q/3", "token_starts"].tolist()
    assert np.allclose(seen.profile, stored.loc["q/3", "profile"], atol=2e-3)
    assert np.allclose(seen.profiles.sum(-1), 1, atol=1e-6)
    assert np.allclose(seen.attention.sum(-1), 1, atol=1e-6)
    assert np.allclose(seen.attention.mean(1), seen.profiles, atol=1e-6)
    assert np.allclose(np.triu(seen.attention, 1), 0)
    full = inspect_sample(run, "q/3", "full")
    assert full.text == "What is 3 + 3? ✓\n6" and len(full.tokens) > len(seen.tokens)


def test_special_tokens_around_a_text_take_nothing_of_it() -> None:
    text = "one two"
    ids = tiny_tokenizer()(text, return_offsets_mapping=True)
    starts = [start for start, _ in ids["offset_mapping"]]
    n = len(starts)
    # What a tokenizer that puts tokens before and behind gives: both begin at 0 and end there.
    whole = EncodedText(
        [0, *ids["input_ids"], 0], [0, *starts, 0], [True, *[False] * n, True], n + 2
    )
    shown = _token_texts(tiny_tokenizer(), text, whole)
    assert [start for _, start in shown] == whole.starts
    assert (shown[0][0], shown[-1][0]) == (BOS, BOS)
    assert "".join(piece for piece, _ in shown[1:-1]) == text
    cut = EncodedText(ids["input_ids"][:-1], starts[:-1], [False] * (n - 1), n)
    last = tiny_tokenizer().decode([cut.ids[-1]])
    assert _token_texts(tiny_tokenizer(), text, cut)[-1] == (last, starts[-2])


def test_one_head_alone(run: Run) -> None:
    seen = inspect_sample(run, "q/3", layer=1, head=2)
    assert seen.heads == [(1, 2)] and seen.attention.shape[0] == 1
    assert np.allclose(seen.attention[0], inspect_sample(run, "q/3").attention[1])


def test_long_samples_are_max_pooled_but_for_the_first_token(run: Run) -> None:
    reference = load_run_model(run.model, "fp32", "cpu")
    seen = inspect_sample(run, "q/long", reference=reference)
    length = len(seen.tokens)
    assert length > 1200 and seen.pool == -(-(length - 1) // 511)
    side = 1 + -(-(length - 1) // seen.pool)
    assert seen.attention.shape == (3, side, side) and side <= 512
    reference.model.set_attn_implementation("eager")
    ids = torch.tensor([reference.tokenizer(LONG)["input_ids"]])
    with torch.inference_mode():
        matrices = reference.model(input_ids=ids, output_attentions=True).attentions
    starts = [0, *range(1, length, seen.pool)]
    for n, (layer, head) in enumerate(seen.heads):
        whole = matrices[layer][0, head].numpy()
        cells = np.maximum.reduceat(np.maximum.reduceat(whole, starts, 0), starts, 1)
        assert np.allclose(seen.attention[n], cells, atol=1e-5)
        assert np.allclose(seen.profiles[n], whole.mean(0), atol=1e-6)


def test_it_is_json(run: Run) -> None:
    seen = inspect_sample(run, "q/1")
    document = json.loads(json.dumps(seen.to_json()))
    assert document["id"] == "q/1" and document["pool"] == 1
    assert np.allclose(document["attention"], seen.attention, atol=1e-4)
    assert [(t["text"], t["start"]) for t in document["tokens"]] == seen.tokens


def test_what_cannot_be_shown_is_said(run: Run) -> None:
    with pytest.raises(UserError, match="no sample 'q/99'"):
        inspect_sample(run, "q/99")
    with pytest.raises(UserError, match="no head 7.0"):
        inspect_sample(run, "q/1", layer=7, head=0)
    with pytest.raises(UserError, match="both --layer and --head"):
        inspect_sample(run, "q/1", layer=1)
    with pytest.raises(UserError, match="no scores named 'other'"):
        inspect_sample(run, "q/1", "other")


def test_texts_of_a_run_that_holds_none_come_by_id(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bare"
    bare = Run.create(folder)
    edit_run(bare, model=run.record.model)
    bare.scores_dir().mkdir(parents=True)
    settings = json.dumps(run.scoring().to_json())
    (bare.scores_dir() / "settings.json").write_text(settings, encoding="utf-8")
    table = pq.read_table(run.score_parts()[0]).to_pandas()
    for column in ("prompt", "response", "original"):
        table[column] = pd.Series([None] * len(table), dtype="str")
    table.to_parquet(bare.scores_dir() / "part-00000.parquet")
    known = {"q/2": Sample("q/2", "q", "What is 2 + 2? ✓", "4", {})}
    monkeypatch.setattr(run_texts, "demo_texts", lambda: known)
    assert np.allclose(inspect_sample(bare, "q/2").profile, inspect_sample(run, "q/2").profile)
    with pytest.raises(UserError):
        inspect_sample(bare, "q/4")
