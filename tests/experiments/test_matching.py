"""The same samples in two scorings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.experiments.matching import Side, match
from circuitseer_core.runs.folder import Run
from tests.support.crafted_run import add_scores, bare_run

N = 40
PROMPTS = [f"question {i}" for i in range(N)]


def _side(path: Path, ids: list[str], prompts: list[str] | None, scores: np.ndarray) -> Side:
    run = bare_run(path)
    columns = {"variance": scores, "id": ids}
    add_scores(run, columns | ({"prompt": prompts} if prompts else {}))
    return Side(Run.open(path), "default", "variance")


def test_by_id_in_whatever_order(tmp_path: Path) -> None:
    ids = [f"a/{i}" for i in range(N)]
    one = _side(tmp_path / "one", ids, None, np.arange(N, dtype=float))
    other = _side(tmp_path / "other", ids[::-1], None, np.arange(N, dtype=float))
    rows = match(one, other)
    assert rows.by == "id"
    np.testing.assert_array_equal(rows.one + rows.other, N - 1)


def test_by_prompt_where_ids_differ(tmp_path: Path) -> None:
    one = _side(tmp_path / "one", [f"a/{i}" for i in range(N)], PROMPTS, np.arange(N) * 1.0)
    twice = [PROMPTS[0], *PROMPTS]  # which of the two is meant is not known
    other = _side(tmp_path / "other", [f"b/{i}" for i in range(N + 1)], twice, np.arange(N + 1.0))
    rows = match(one, other)
    assert rows.by == "prompt"
    assert len(rows) == N - 1
    np.testing.assert_array_equal(rows.other - rows.one, 1)


def test_equal_ids_of_other_questions_are_no_match(tmp_path: Path) -> None:
    ids = [f"a/{i}" for i in range(N)]
    one = _side(tmp_path / "one", ids, PROMPTS, np.ones(N))
    other = _side(tmp_path / "other", ids, [p + "?!" for p in PROMPTS], np.ones(N))
    with pytest.raises(UserError, match="have 0 scored samples in common, and 30 are needed"):
        match(one, other)
