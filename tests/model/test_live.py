"""One model in memory at a time, the run's own, until it is let go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from circuitseer_core.model import live
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import ModelRecord
from tests.support.detected_run import detected_run


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    live.free()
    yield
    live.free()


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    return [detected_run(tmp_path / "a"), detected_run(tmp_path / "b", seed=1)]


def test_it_is_loaded_once_and_replaced_by_another(runs: list[Run]) -> None:
    first, second = runs
    assert live.model_in_memory() is None
    model = live.live_model(first.model, "fp32", "cpu")
    assert live.live_model(first.model, "fp32", "cpu") is model
    other = live.live_model(second.model, "fp32", "cpu")
    assert other is not model
    in_memory = live.model_in_memory()
    assert in_memory is not None and in_memory.name == other.name
    assert (in_memory.dtype, in_memory.device) == ("float32", "cpu")


def test_its_memory_is_that_of_its_weights(runs: list[Run]) -> None:
    model = live.live_model(runs[0].model, "fp32", "cpu")
    in_memory = live.model_in_memory()
    numbers = sum(p.numel() for p in model.model.parameters())
    assert in_memory is not None
    assert 4 * numbers <= in_memory.bytes <= 4 * numbers + 4096  # and a few buffers


def test_it_can_be_let_go(runs: list[Run]) -> None:
    live.free()  # of nothing
    live.live_model(runs[0].model, "fp32", "cpu")
    live.free()
    assert live.model_in_memory() is None


def test_weights_in_other_bits_or_another_tokenizer_are_another_model(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[tuple[str, str | None]] = []
    real = live.load_run_model

    def load(known: ModelRecord, dtype: str, device: str) -> ReferenceModel:
        loaded.append((known.weight_bits, known.tokenizer_hash))
        return real(runs[0].model, dtype, device)

    monkeypatch.setattr(live, "load_run_model", load)
    whole = runs[0].model
    for known in (
        whole,
        whole.model_copy(update={"weight_bits": "4"}),
        whole.model_copy(update={"tokenizer_hash": "another"}),
    ):
        live.live_model(known, "fp32", "cpu")
        live.live_model(known, "fp32", "cpu")
    assert loaded == [
        ("all", whole.tokenizer_hash),
        ("4", whole.tokenizer_hash),
        ("all", "another"),
    ]
