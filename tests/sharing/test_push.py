"""What a pushed head map is: a table, a manifest, a card, and nothing of this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from circuitseer_core.detection.head_map import HeadMap, HeadMapRecord, Measured, read_head_map
from circuitseer_core.detection.heads import select_heads
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import DetectOptions
from circuitseer_core.sharing.card import head_map_card, head_set_card
from circuitseer_core.sharing.push import push_heads, write_head_map
from tests.support.fake_hub import FakeHub
from tests.support.hostile import WHOLE
from tests.support.rendered import acting


def test_table_manifest_and_card_arrive(run: Run, hub: FakeHub) -> None:
    assert push_heads(run, "me/heads") == "https://huggingface.co/datasets/me/heads"
    files = hub.repos["me/heads"]
    assert sorted(files) == ["README.md", "head_map.json", "heads.parquet"]
    assert files["heads.parquet"] == run.heads_path.read_bytes()
    assert hub.private["me/heads"], "a new repository is private"
    # Libraries ask the Hub for things of their own now and then, in threads that outlive a test.
    asked = {what: token for what, token in hub.tokens.items() if "/repos" in what or "me/" in what}
    assert len(asked) >= 3 and set(asked.values()) == {"Bearer hf_secret"}, hub.tokens
    manifest = json.loads(files["head_map.json"])
    assert manifest["model"]["weights_hash"] == run.model.weights_hash
    assert manifest["heads"] == len(run.heads())
    card = files["README.md"].decode()
    assert str(run.model.weights_hash) in card and "pull-heads me/heads" in card
    assert "| 1 | 0 | 0 | +1.000 |" in card


def test_nothing_names_a_folder_of_this_machine_or_the_token(run: Run, hub: FakeHub) -> None:
    assert "/" in run.model.id, "the model is a local folder"
    push_heads(run, "me/heads")
    for content in hub.repos["me/heads"].values():
        assert str(run.path.parent).encode() not in content
        assert b"hf_secret" not in content


def test_a_set_to_copy_says_which_heads_of_which_weights_and_no_folder(run: Run) -> None:
    heads = select_heads(run.heads(), "3")
    text = head_set_card(run, heads)
    assert f"## 3 reasoning heads of {Path(run.model.id).name}" in text
    assert "```\n" + ",".join(f"{layer}.{head}" for layer, head in heads) + "\n```" in text
    assert str(run.model.weights_hash) in text and str(run.path.parent) not in text
    for rank, (layer, head) in enumerate(heads, start=1):
        assert f"| {rank} | {layer} | {head} |" in text
    assert "```\n0.1,\n```" in head_set_card(run, [(0, 1)]), "without its comma it is a share"


def test_a_push_without_heads_or_token_is_refused(
    run: Run, hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="no heads table: run detect"):
        push_heads(Run.create(tmp_path / "new"), "me/heads")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match="set HF_TOKEN"):
        push_heads(run, "me/heads")
    assert not hub.repos


def test_a_table_that_could_not_be_read_again_is_not_sent(run: Run, tmp_path: Path) -> None:
    other = Run.create(tmp_path / "run")
    with other.editing() as record:
        record.model = run.model
    pd.read_parquet(run.heads_path).head(3).to_parquet(other.heads_path)
    with pytest.raises(UserError, match="3 rows that are not the 8 heads"):
        write_head_map(other, tmp_path, "me/heads")


def test_hostile_names_stay_text_in_the_card(run: Run, tmp_path: Path) -> None:
    model = run.model.model_copy(update={"id": WHOLE, "revision": WHOLE, "dtype": WHOLE})
    measured = Measured(mode=WHOLE, ablation=WHOLE, probe_criterion=WHOLE, loss_tokens=WHOLE)
    record = HeadMapRecord(
        format=1, model=model, measured=measured, heads=len(run.heads()), sha256="0"
    )
    card = head_map_card(HeadMap(tmp_path, record, run.heads()), "me/heads")
    assert acting(card) == [] and card.count("zzbold") >= 8


def test_a_map_s_card_names_the_ablation_and_what_is_an_estimate(run: Run, tmp_path: Path) -> None:
    measured = Measured.of_run(run).model_copy(update={"ablation": "zero", "mode": "racing"})
    record = HeadMapRecord(format=1, model=run.model, measured=measured, heads=8, sha256="0")
    heads = run.heads().assign(raced_out=[True] * 3 + [False] * 5)
    card = head_map_card(HeadMap(tmp_path, record, heads), "me/heads")
    assert "rises with one head's output set to zero (ΔL, nats), for 8 query heads, 3 of" in card


def test_a_map_of_scaled_logits_says_their_factor(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "scaled")
    run = Run.open(tmp_path / "scaled")
    with run.editing() as record:
        record.detect.settings = DetectOptions(ablation="scaled", epsilon=0.1)
    write_head_map(run, tmp_path, "me/heads")
    head_map = read_head_map(tmp_path)
    assert head_map.record.measured.epsilon == 0.1
    card = head_map_card(head_map, "me/heads")
    assert "attention logits times 0.1 (ΔL" in card and "| epsilon | 0.1 |" in card
    assert head_set_card(run, [(0, 0)]).count("attention logits times 0.1") == 1
