"""The mean final hidden state of prompts: against one prompt at a time, and its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from circuitseer_core.errors import UserError
from circuitseer_core.model.loading import load_model
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.scoring import mean_states as module
from circuitseer_core.scoring.mean_states import mean_states, read_states, shard_states
from tests.support.tiny_models import save_tiny

PROMPTS = ["Tom has 12 apples", "x", "Solve for x: 3x + 5 = 20. Subtract 5 from both sides", ""]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> ReferenceModel:
    return load_model(str(save_tiny(tmp_path_factory.mktemp("model"))), device="cpu")[0]


def slow(reference: ReferenceModel, prompt: str, most: int) -> np.ndarray:
    """One prompt, unpadded, by the model's own forward pass."""
    ids = reference.tokenizer(prompt)["input_ids"][:most]
    with torch.inference_mode():
        out = reference.model(torch.tensor([ids]), output_hidden_states=True)
    hidden = out.hidden_states[-1][0].double()
    return (hidden[1:] if len(ids) > 1 else hidden).mean(0).numpy()


@pytest.mark.parametrize("budget", [1, 40, 4096])
@pytest.mark.parametrize("most", [5, 512])
def test_batches_give_what_single_prompts_give(
    reference: ReferenceModel, budget: int, most: int
) -> None:
    counted: list[int] = []
    states = mean_states(
        reference, PROMPTS, max_length=most, token_budget=budget, on_batch=counted.append
    )
    assert sum(counted) == len(PROMPTS)
    for prompt, state in zip(PROMPTS, states, strict=True):
        if not reference.tokenizer(prompt)["input_ids"]:
            assert np.isnan(state).all()
            continue
        expected = slow(reference, prompt, most)
        assert np.allclose(state, expected, rtol=2e-3, atol=2e-3), prompt
        assert np.abs(expected).max() > 0.1


def test_less_memory_means_smaller_batches_and_the_same_numbers(
    reference: ReferenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = mean_states(reference, PROMPTS[:3], max_length=512, token_budget=4096)
    plain, sizes = module._means, []

    def scarce(reference: ReferenceModel, ids: list[list[int]]) -> np.ndarray:
        sizes.append(len(ids))
        if len(ids) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(reference, ids)

    monkeypatch.setattr(module, "_means", scarce)
    again = mean_states(reference, PROMPTS[:3], max_length=512, token_budget=4096)
    assert np.allclose(whole, again, rtol=2e-3, atol=2e-3) and sizes[0] == 3 and sizes.count(1) == 3

    def none_left(reference: ReferenceModel, ids: list[list[int]]) -> np.ndarray:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(module, "_means", none_left)
    with pytest.raises(UserError, match="does not fit in memory: lower --max-length"):
        mean_states(reference, PROMPTS[:3], max_length=512, token_budget=4096)


def files_of(reference: ReferenceModel, folder: Path, mark: str) -> tuple[list[Path], int, int]:
    """Three rows in shards of two and one; the files, and rows that were done and kept."""
    done: list[int] = []
    kept: list[int] = []
    rows = ((f"r{i}", prompt, None) for i, prompt in enumerate(PROMPTS[:3]))
    paths = shard_states(
        reference, rows, [2, 1], folder, mark,
        max_length=64, on_rows=done.append, on_kept=kept.append,
    )  # fmt: skip
    return paths, sum(done), sum(kept)


def test_what_is_finished_is_kept_and_what_is_damaged_or_different_is_not(
    reference: ReferenceModel, tmp_path: Path
) -> None:
    paths, done, kept = files_of(reference, tmp_path, "a")
    assert (done, kept) == (3, 0)
    states = [read_states(path) for path in paths]
    assert [len(s) for s in states] == [2, 1]
    expected = mean_states(reference, PROMPTS[:3], max_length=64, token_budget=4096)
    assert np.allclose(np.concatenate(states), expected, rtol=2e-3, atol=2e-3)
    assert files_of(reference, tmp_path, "a")[1:] == (0, 3)

    damaged = bytearray(paths[1].read_bytes())
    damaged[len(damaged) // 3] ^= 1
    paths[1].write_bytes(damaged)
    assert files_of(reference, tmp_path, "a")[1:] == (1, 2)
    assert files_of(reference, tmp_path, "b")[1:] == (3, 0)
    (tmp_path / "states-00007.parquet").write_bytes(paths[0].read_bytes())
    files_of(reference, tmp_path, "b")
    assert sorted(p.name for p in tmp_path.iterdir()) == [p.name for p in paths]
