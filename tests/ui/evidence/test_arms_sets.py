"""Which scores the form for comparison arms offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.runs.folder import Run
from tests.support.opened import second_scoring
from tests.support.synthetic import Shape, make_run
from ui import cached_scores
from ui.evidence.arms_sets import _values


def test_the_scores_offered_are_those_of_the_scoring_in_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.open(make_run(tmp_path / "run", Shape(rows=40)))
    second_scoring(run)
    opened: list[str | None] = []

    def open_store(run: Run, name: str | None = None) -> ScoreStore:
        opened.append(name)
        return ScoreStore(run, name or "default")

    monkeypatch.setattr(cached_scores, "open_store", open_store)
    assert _values(run, "answers")["scores"] == "answers"
    assert opened == ["answers"]
