"""Head readings against whole attention matrices, on a dozen architectures, attention peaked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.errors import UserError
from circuitseer_core.model.attention import intervening
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.columns import ATTENTION_SCORERS, HEAD_FAMILIES
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.head_features import (
    HeadFeatureObserver,
    carries_features,
    feature_share,
    observe_heads,
)
from circuitseer_core.scoring.profiles import HeadPlan, Profiles, observe
from circuitseer_core.scoring.scorers import attention_scores
from tests.support.detected_run import detected_run
from tests.support.scorings import Killed, assert_same, dying_after, go, settings, whole
from tests.support.tiny_models import KINDS, random_ids, tiny_model

LENGTHS = [40, 29, 17]
GROUPS: list[list[Head]] = [[(0, 1), (1, 0)]]
SPECIAL = [(0, 0), (0, 7), (2, 11)]
"""(row, token) that count as special."""


def naive(reference: ReferenceModel, row: int, ids: torch.Tensor) -> Floats:
    """(F, H) readings of one unpadded row, from whole matrices in float64, a head at a time."""
    reference.model.set_attn_implementation("eager")
    with torch.inference_mode():
        matrices = reference.model(input_ids=ids[None], output_attentions=True).attentions
    length = len(ids)
    special = np.zeros((1, length), dtype=bool)
    for at, token in SPECIAL:
        special[0, token] |= at == row
    readings = np.zeros((len(HEAD_FAMILIES), len(reference.heads)))
    distances = np.subtract.outer(np.arange(length), np.arange(length))
    for column, (layer, head) in enumerate(reference.heads):
        matrix = matrices[layer][0, head].double().numpy()
        visible = matrix > 0
        flat = (visible / visible.sum(1, keepdims=True)).mean(0)
        profile = matrix.mean(0)
        scores = attention_scores(
            profile[None, None], flat[None, None], np.array([length]), special
        )
        logs = np.log(np.where(visible, matrix, 1.0))
        readings[:, column] = [
            np.log(max(profile[0], 1e-8)),
            np.log1p(scores["focus"][0, 0]),
            np.log1p(scores["divergence"][0, 0]),
            -(matrix * logs).sum(1).mean(),
            (matrix * distances).sum(1).mean(),
        ]
    return readings


def kept_mask(lengths: Sequence[int]) -> torch.Tensor:
    position = torch.arange(max(lengths))
    kept = (position < torch.tensor(lengths)[:, None]) & (position > 0)
    for row, token in SPECIAL:
        kept[row, token] = False
    return kept


def readings(reference: ReferenceModel, alone: Sequence[Head]) -> tuple[torch.Tensor, Profiles]:
    ids = random_ids(len(LENGTHS), max(LENGTHS), seed=1)
    plan = HeadPlan(GROUPS, reference.device, alone=alone)
    profiles = observe_heads(reference, ids, torch.tensor(LENGTHS), kept_mask(LENGTHS), plan)
    return ids, profiles


@pytest.mark.parametrize("kind", KINDS)
def test_readings_equal_those_of_whole_matrices(kind: str) -> None:
    reference = tiny_model(kind, layers=3)
    ids, profiles = readings(reference, reference.heads)
    assert profiles.heads is not None
    for row, length in enumerate(LENGTHS):
        wanted = naive(reference, row, ids[row, :length])
        assert (np.ptp(wanted, axis=1) > 0.1).all(), "the heads hardly differ"
        error = np.abs(profiles.heads[row].numpy() - wanted) / np.maximum(1, np.abs(wanted))
        assert error.max() <= 2e-5, dict(zip(HEAD_FAMILIES, error.max(1), strict=True))


def test_profiles_are_those_of_a_pass_without_readings() -> None:
    reference = tiny_model(layers=3)
    ids, profiles = readings(reference, reference.heads)
    plain = observe(reference, ids, torch.tensor(LENGTHS), HeadPlan(GROUPS, reference.device))
    assert torch.allclose(profiles.observed, plain.observed, atol=1e-7)
    assert torch.allclose(profiles.flat, plain.flat, atol=1e-7)
    assert plain.heads is None


def test_some_heads_alone_read_as_among_all() -> None:
    reference = tiny_model(layers=3)
    some: list[Head] = [(2, 3), (0, 1)]
    _, of_all = readings(reference, reference.heads)
    _, of_some = readings(reference, some)
    assert of_all.heads is not None and of_some.heads is not None
    columns = [reference.heads.index(head) for head in some]
    assert torch.allclose(of_some.heads, of_all.heads[:, :, columns], atol=1e-6)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt_oss"])
def test_block_size_changes_nothing(kind: str) -> None:
    reference = tiny_model(kind, layers=2)
    ids = random_ids(len(LENGTHS), max(LENGTHS), seed=1)
    plan = HeadPlan(GROUPS, reference.device, alone=reference.heads)
    whole = observe_heads(reference, ids, torch.tensor(LENGTHS), kept_mask(LENGTHS), plan)
    observer = HeadFeatureObserver(
        plan, torch.tensor(LENGTHS), kept_mask(LENGTHS), stop=False, block_bytes=1
    )
    with torch.inference_mode(), intervening(observer):
        reference.hidden(ids)
    blocks = observer.profiles().heads
    assert whole.heads is not None and blocks is not None
    assert torch.allclose(blocks, whole.heads, atol=1e-5)


def test_the_subsample_is_of_the_id_and_within_its_limit() -> None:
    ids = [f"a/{i}" for i in range(20_000)]
    share = feature_share(len(ids), 500)
    taken = carries_features(0, ids, share)
    assert 300 < taken.sum() <= 500
    assert (carries_features(0, ids[7:9], share) == taken[7:9]).all()
    assert carries_features(0, ids, feature_share(len(ids), 0)).all()
    assert feature_share(400, 500) == feature_share(4, 5) == 1.0
    assert 0 < feature_share(400, 50) * 400 < 50
    with pytest.raises(UserError, match="--head-feature-rows 25: .*which may leave none"):
        feature_share(400, 25)


def test_head_readings_on_a_part_of_the_rows_and_after_a_kill(
    run: Run, tmp_path: Path, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(data, head_features=True, head_feature_rows=49)
    go(run, wanted)
    table = whole(run)
    heads = run.scoring().feature_heads
    assert heads == [(layer, head) for layer in range(2) for head in range(4)]
    columns = [f"head_{name}" for name in ("first", "focus", "divergence", "entropy", "distance")]
    assert all(str(table[c].type) == "fixed_size_list<element: halffloat>[8]" for c in columns)
    known = table.num_rows - table[columns[0]].null_count
    assert 0 < known < table.num_rows
    plain = detected_run(tmp_path / "plain")
    go(plain, settings(data))
    rest = table.drop_columns(columns)
    for name in ATTENTION_SCORERS:
        assert np.allclose(rest[name], whole(plain)[name], rtol=1e-5)
    again = detected_run(tmp_path / "killed")
    done = dying_after(1, monkeypatch)
    with pytest.raises(Killed):
        go(again, wanted)
    done()
    go(again, wanted)
    assert_same(run, again)
    with pytest.raises(UserError, match="--head-features"):
        go(run, settings(data))


def test_a_calibration_reads_its_heads_on_every_row(run: Run, data: str) -> None:
    folder = run.calibration_dir("default")
    folder.mkdir(parents=True)
    fit = {"fold": 0, "columns": [["first", 1, 2], ["focus", 0, 1]], "weights": [1, 1]}
    record = {"format": 1, "name": "default", "settings": {}, "whole": {}, "fits": [fit]}
    record["target"] = {"name": "level", "kind": "number", "rows": 1, "sha256": "0"}
    (folder / "calibration.json").write_text(json.dumps(record))
    go(run, settings(data, calibration="default"))
    assert run.scoring().feature_heads == [(0, 1), (1, 2)] and run.scoring().feature_share == 1
    assert whole(run)["head_first"].null_count == 0
