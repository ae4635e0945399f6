"""A run whose heads are known, fifty questions, and a model that fails when told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from tests.support.detected_run import detected_run, questions, write_rows


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return detected_run(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> str:
    return write_rows(tmp_path / "questions.jsonl", questions(50))


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Let the model fail, or go wrong, on batches of one's choosing."""
    original = ReferenceModel.hidden

    def install(fail: Callable[[torch.Tensor], None]) -> None:
        def hidden(self: ReferenceModel, input_ids: torch.Tensor) -> torch.Tensor:
            fail(input_ids)
            return original(self, input_ids)

        monkeypatch.setattr(ReferenceModel, "hidden", hidden)

    yield install
