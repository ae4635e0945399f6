"""Samples ranked by one head's reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from circuitseer_core.browse.readings import top_by_reading
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.calibration.rows import load_rows
from circuitseer_core.errors import UserError
from circuitseer_core.runs.columns import HEAD_FAMILIES
from tests.support.readings_run import readings_run


@pytest.mark.parametrize("family", HEAD_FAMILIES)
def test_the_highest_readings_of_a_head_come_first(tmp_path: Path, family: str) -> None:
    run = readings_run(tmp_path / "run", 60, share=0.6)
    rows = load_rows(run, "default")
    assert 5 < len(rows) < 60
    head = rows.heads[5]
    own = rows.readings[:, HEAD_FAMILIES.index(family), 5]
    top = top_by_reading(ScoreStore(run), head, family, 4)
    order = np.lexsort((np.array(rows.ids), -own))[:4]
    assert top["id"].tolist() == [rows.ids[i] for i in order]
    assert top["reading"].tolist() == pytest.approx(own[order].tolist())
    assert (top["rows"] == len(rows)).all()


def test_a_head_that_was_not_read_is_one_line(tmp_path: Path) -> None:
    store = ScoreStore(readings_run(tmp_path / "run", 20))
    for head, family in (((9, 9), "focus"), ((0, 0), "nonsense")):
        with pytest.raises(UserError, match="has no"):
            top_by_reading(store, head, family, 4)
