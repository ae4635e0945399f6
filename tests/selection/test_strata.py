"""Any column shares the budget; how its values stand before and after is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.export.verify import verify
from circuitseer_core.export.write import export
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select import select
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.strata import as_value, column_strata, frame_strata, strata_of
from tests.support.run_factory import make_rows, make_run, score_frame


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """200 rows: half of level 0, a quarter of level 1, the others without one."""
    rows = make_rows(200)
    for i, row in enumerate(rows):
        row["level"] = (0, 1, 0, None)[i % 4]
    return make_run(tmp_path / "run", rows)


def levels(run: Run) -> dict[str, int]:
    """Rows drawn of every value."""
    return {s.value: s.rows for s in run.selection("default").diagnostics.strata}


def test_a_frame_has_the_strata_of_a_run(run: Run) -> None:
    """Whole numbers beside gaps are floats in pandas, gaps NaN: 1.0 and NaN are 1 and none."""
    levels = run.scores("default", ["original"])["original"].map(
        lambda row: json.loads(row)["level"]
    )
    frame = run.scores("default").assign(level=levels)
    assert frame["level"].dtype == float
    codes, values = frame_strata(frame, "level")
    of_run, of_values = column_strata(run, "default", "level")
    assert values == of_values == ("(none)", "0", "1") and (codes == of_run).all()
    words = pd.DataFrame({"kind": ["a", None, "b", "a", True, 1.5] * 2})
    assert frame_strata(words, "kind")[1] == ("(none)", "1.5", "a", "b", "true")
    with pytest.raises(UserError, match="no row has a column 'prompt'; found: .*level"):
        frame_strata(frame, "prompt")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"stratify": "equal", "count": 30}, {"0": 10, "1": 10, "(none)": 10}),
        ({"stratify": "proportional", "count": 40}, {"0": 20, "1": 10, "(none)": 10}),
        ({"stratify": "equal", "count": 180}, {"0": 80, "1": 50, "(none)": 50}),
    ],
)
def test_the_budget_is_shared_by_the_column(
    run: Run, tmp_path: Path, options: dict[str, object], wanted: dict[str, int]
) -> None:
    select_run(run, SelectionSettings.of(stratify_by="level", **options))
    assert levels(run) == wanted
    shares = {s.value: (s.pool, s.pool_share) for s in run.selection("default").diagnostics.strata}
    assert shares == {"0": (100, 0.5), "1": (50, 0.25), "(none)": (50, 0.25)}
    done = export(run, None, tmp_path / "a.jsonl")
    assert verify(done.path).ok, verify(done.path).messages
    assert f"strata {options['stratify']} by `level`" in done.card.read_text()
    assert "| level | pool | drawn |" in done.card.read_text()


def test_a_cap_on_sources_holds_beside_it(run: Run) -> None:
    select_run(
        run,
        SelectionSettings.of(stratify_by="level", stratify="equal", count=60, max_per_source=55),
    )
    assert set(levels(run).values()) == {20}
    sources = run.selection_ids("default")["source"].value_counts()
    assert sources.max() <= 55 and sources.sum() == 60


def test_a_column_that_cannot_serve_is_named(run: Run) -> None:
    with pytest.raises(UserError, match="no row has a column 'topic'; found: source, question"):
        select_run(run, SelectionSettings.of(stratify_by="topic", stratify="equal"))
    with pytest.raises(UserError, match="200 different values in 200 rows are too many"):
        select_run(run, SelectionSettings.of(stratify_by="question", stratify="equal"))
    with pytest.raises(UserError, match="stratify-by needs stratify"):
        SelectionSettings.of(stratify_by="level")


def test_values_have_names() -> None:
    codes, values = strata_of([{"a": 1.5}, {"a": [1]}, {}, {"a": "x"}, {"a": True}] * 2, "a")
    assert values == ("(none)", "1.5", "[1]", "true", "x") and codes.tolist()[:5] == [1, 2, 0, 4, 3]
    assert as_value("") == "(none)" and as_value(0) == "0"


def test_a_column_of_a_frame(run: Run) -> None:
    frame = score_frame(make_rows(90)).assign(kind=["a", "b", "b"] * 30)
    drawn = select(frame, stratify="equal", stratify_by="kind", count=20)
    assert drawn["kind"].value_counts().to_dict() == {"a": 10, "b": 10}
