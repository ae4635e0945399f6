"""A step of texts of any lengths: its parts, its loss, where it is computed, and memory's end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from circuitseer_core.errors import UserError
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.training import finetune, trainer
from circuitseer_core.training.finetune import Diverged, Recipe, Weights, finetuned
from circuitseer_core.training.trainer import DeviceArguments, step_parts
from tests.support.tiny_models import random_ids, tiny_model

LENGTHS = [*[4] * 30, 120]
"""Many short texts and a long one, as in a step of 240 tokens."""


def examples() -> list[Encoded]:
    """Texts of these lengths; half of each is its response."""
    return [
        Encoded(f"x/{i}", "x", random_ids(1, n, seed=i)[0].tolist(), n // 2)
        for i, n in enumerate(LENGTHS)
    ]


def test_a_step_takes_no_multiple_of_its_tokens() -> None:
    step = step_parts([examples()])
    assert [part["input_ids"].shape for part in step["parts"]] == [(30, 4), (1, 120)]
    assert step["shares"] == [60 / 120, 60 / 120]
    even = step_parts([examples()[:30]])
    assert len(even["parts"]) == 1 and even["shares"] == [1.0]


def trained_weights() -> list[torch.Tensor]:
    """A tiny model's after two steps, drawn anew for every call."""
    reference = tiny_model(scale=1.0)
    steps = [list(range(31)), [30, 2, 1]]
    kept = Weights(reference.model)
    with finetuned(reference, kept, examples(), steps, Recipe(1e-2), seed=0):
        return [value.clone() for value in reference.model.state_dict().values()]


def test_the_parts_of_a_step_train_as_its_one_batch_would(monkeypatch: pytest.MonkeyPatch) -> None:
    in_parts = trained_weights()
    monkeypatch.setattr(trainer, "_PADDED", 10**6)
    assert len(step_parts([examples()])["parts"]) == 1
    whole = trained_weights()
    untrained = list(tiny_model(scale=1.0).model.state_dict().values())
    gaps = [(a - b).abs().max().item() for a, b in zip(in_parts, whole, strict=True)]
    moved = [(a - b).abs().max().item() for a, b in zip(whole, untrained, strict=True)]
    assert max(gaps) < 1e-3 * max(moved)


def test_the_trainer_stays_on_the_models_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current: list[torch.device] = []
    monkeypatch.setattr(trainer, "make_current", current.append)
    arguments = DeviceArguments(output_dir=str(tmp_path), use_cpu=True)
    second = torch.device("cuda:1")
    arguments.stay_on(second)
    assert arguments.device == second and current == [second] and arguments.n_gpu <= 1


def test_memory_that_runs_out_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(finetune.StepTrainer, "train", full)
    with pytest.raises(UserError, match="texts of up to 120 tokens does not fit in memory"):
        trained_weights()


def test_a_loss_that_is_not_finite_is_seen() -> None:
    reference = tiny_model(scale=1.0)
    before = [value.clone() for value in reference.model.state_dict().values()]
    kept, recipe = Weights(reference.model), Recipe(1e30)
    with (
        pytest.raises(Diverged, match=r"rate 1e\+30 diverged"),
        finetuned(reference, kept, examples(), [[0, 1]] * 4, recipe, seed=0),
    ):
        pass
    after = reference.model.state_dict().values()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
