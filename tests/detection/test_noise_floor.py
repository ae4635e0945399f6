"""What rounding does to a loss change: pairs measured again at a higher precision."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from circuitseer_core.detection import noise_floor
from circuitseer_core.detection.ablation import AblationMode
from circuitseer_core.detection.ablator import Ablator
from circuitseer_core.detection.cost import NOISE_PAIRS, NOISE_SAMPLES
from circuitseer_core.detection.noise_floor import choose_pairs, measure_noise
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from tests.support.loss_changes import expected, measured, samples
from tests.support.records import edit_run
from tests.support.tiny_models import tiny_model


def importance(reference: ReferenceModel, delta: torch.Tensor) -> pd.DataFrame:
    """The rows of (layers, heads, samples) loss changes."""
    rows = [
        {"id": sample.id, "layer": layer, "head": head, "delta_loss": float(delta[layer, head, i])}
        for layer, n in enumerate(reference.heads_per_layer)
        for head in range(n)
        for i, sample in enumerate(samples())
    ]
    return pd.DataFrame(rows)


def floor_of(reference: ReferenceModel, table: pd.DataFrame, run: Run) -> noise_floor.NoiseFloor:
    return measure_noise(run, reference, samples(), table, AblationMode(), seed=0, show=False)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path / "run")
    edit_run(run, detect={"replay": True})
    return run


@pytest.mark.parametrize(
    ("dtype", "against"), [(torch.bfloat16, "fp32"), (torch.float32, "fp64")], ids=["bf16", "fp32"]
)
def test_it_is_the_error_against_a_wider_model(dtype: torch.dtype, against: str, run: Run) -> None:
    reference = tiny_model("llama", layers=3)
    reference.model.to(dtype)
    wide = torch.float32 if dtype == torch.bfloat16 else torch.float64
    converted = copy.deepcopy(reference.model).to(wide)
    exact = expected(ReferenceModel(converted, reference.tokenizer, name="wide"), samples())
    table = importance(reference, measured(reference, samples()))
    floor = floor_of(reference, table, run)
    truth = importance(reference, exact)["delta_loss"]
    chosen = choose_pairs(table, 0)
    error = chosen["delta_loss"] - truth.loc[chosen.index]
    # The naive reference takes its losses in float32, which at 1e-7 nats can be seen.
    close = 0.05 if dtype == torch.bfloat16 else 0.3
    assert floor.nats == pytest.approx(float(np.sqrt((error**2).mean())), rel=close)
    assert (floor.pairs, floor.against, floor.unmeasured) == (NOISE_PAIRS, against, None)
    assert floor.effect == pytest.approx(chosen["delta_loss"].abs().median())
    assert (1e-4 < floor.nats < 1) if dtype == torch.bfloat16 else (1e-9 < floor.nats < 1e-4)


def test_a_planted_error_is_found(run: Run) -> None:
    reference = tiny_model("llama")
    table = importance(reference, measured(reference, samples()))
    table["delta_loss"] += 0.25
    assert floor_of(reference, table, run).nats == pytest.approx(0.25, abs=1e-3)


def test_pairs_are_spread_over_sizes_and_layers_of_eight_samples() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"id": [f"s{i % 20}" for i in range(8000)], "layer": np.arange(8000) // 1000, "head": 0}
    ).assign(delta_loss=rng.normal(size=8000) ** 3)
    chosen = choose_pairs(table, 1)
    assert len(chosen) == NOISE_PAIRS and chosen["id"].nunique() <= NOISE_SAMPLES
    assert chosen["id"].is_monotonic_increasing, "a sample's pairs follow each other"
    assert (chosen["layer"].value_counts() == 2).all() and len(set(chosen["layer"])) == 8
    places = table["delta_loss"].abs().rank(pct=True).loc[chosen.index].sort_values()
    assert np.abs(places.to_numpy() - (np.arange(NOISE_PAIRS) + 0.5) / NOISE_PAIRS).max() < 0.06
    assert chosen.equals(choose_pairs(table, 1)) and not chosen.equals(choose_pairs(table, 2))
    assert len(choose_pairs(table.head(3), 0)) == 3


def test_why_there_is_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = tiny_model("llama")
    table = importance(reference, measured(reference, samples()))

    def full(self: Ablator, *args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("injected")

    monkeypatch.setattr(Ablator, "_measure", full)
    assert floor_of(reference, table, run).unmeasured == "memory ran out in fp64"

    def lacks(self: Ablator, *args: object, **kwargs: object) -> None:
        raise RuntimeError("no such kernel for Double")

    monkeypatch.setattr(Ablator, "_measure", lacks)
    floor = floor_of(reference, table, run)
    assert floor.nats is None and "does not run in fp64: no such kernel" in str(floor.unmeasured)
    assert all(p.dtype == torch.float32 for p in reference.model.parameters())
