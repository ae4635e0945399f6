"""The Sources page: every figure, every grouping, and the way from a bar to its rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from circuitseer_core import correlation
from circuitseer_core.distributions import Trend, shared_bins
from circuitseer_core.runs.folder import Run
from tests.support.opened import (
    broken_shard,
    into_view,
    open_page,
    settled,
    synthetic,
    table,
    texts,
    without_texts,
)
from tests.support.synthetic import Shape
from ui.cached_scores import open_store
from ui.sources.data import Summary, length_map, with_column
from ui.sources.trend import _table as trend_table
from ui.sources.views import _by_group, _control_words
from ui.widgets.markdown import together

OF_TREND = ("median", "low", "high", "rows")


@pytest.fixture
def run(runs_home: Path) -> Run:
    return synthetic(runs_home, shape=Shape(rows=400, sources=4))


@pytest.mark.parametrize("shape", ["Histogram", "Cumulative", "Boxes"])
@pytest.mark.parametrize("by", ["source", "topic", "all rows"])
def test_every_figure_by_every_grouping(run: Run, shape: str, by: str) -> None:
    page = open_page("sources", "made", shape=shape, by=by)
    stats = table(page, "median")
    groups = {"source": 4 + 1, "topic": 5 + 1, "all rows": 1}
    assert len(stats) == groups[by]
    assert stats["rows"].max() == 400 and np.isfinite(stats["median"]).all()
    page.toggle(key="log_scale").set_value(True)
    settled(page.run())


def test_the_words_follow_the_numbers(run: Run) -> None:
    shown = texts(open_page("sources", "made", scorer="length"))
    assert "Spearman **+1.00**" in shown and "Length drives this score" in shown
    assert "length has no random-head control in this scoring" in shown
    assert "does not come from heads" not in shown
    shown = texts(open_page("sources", "made", scorer="variance"))
    assert "Random heads rank the rows nearly alike" in shown  # the synthetic controls do


@pytest.mark.parametrize(
    ("rho", "words"),
    [(0.97, "nearly alike"), (0.9, "give similar scores"), (0.5, "changes the ranking.")],
)
def test_the_control_is_judged_as_on_the_overview(rho: float, words: str) -> None:
    assert words in _control_words(rho)


def test_rank_correlations_are_of_the_rows_that_have_both(run: Run) -> None:
    for part in run.score_parts():
        frame = pd.read_parquet(part)
        middle = frame["n_tokens"].between(*frame["n_tokens"].quantile([0.1, 0.9]))
        frame.loc[middle, "focus"] = np.nan  # ranks among all rows are no ranks of the others
        frame.to_parquet(part, index=False)
    frame = run.scores(columns=["focus", "n_tokens"]).dropna()
    rho = frame["focus"].corr(frame["n_tokens"], method="spearman")
    store = open_store(run, "default")
    assert store is not None
    assert length_map(store, "focus", False).spearman == pytest.approx(rho)


def test_a_bar_leads_to_its_rows(run: Run) -> None:
    page = open_page("sources", "made", scorer="focus")
    page.selectbox(key="bar_group").set_value("source_02")
    page.selectbox(key="bar_bin").set_value(8)
    page.button(key="bar_open").click()
    settled(page.run())
    assert page.title[0].value == "Samples"
    frame = run.scores(columns=["source", "focus"])
    low, high = (float(page.number_input(key=name).value) for name in ("low", "high"))
    inside = frame[(frame["source"] == "source_02") & frame["focus"].between(low, high)]
    assert 0 < len(inside) < 60 and f"{len(inside)} of 400 match" in texts(page)


def test_the_cumulative_figure_says_where_its_axis_ends(run: Run) -> None:
    assert "The axis ends at" in texts(open_page("sources", "made", shape="Cumulative"))
    page = open_page("sources", "made", shape="Cumulative")
    page.toggle(key="log_scale").set_value(True).run()
    assert "The axis ends at" not in texts(settled(page))


def test_many_sources_are_cut_to_the_largest(runs_home: Path) -> None:
    runs = [synthetic(runs_home, name, Shape(rows=900, sources=30)) for name in ("many", "other")]
    one, other = (f"groups_shown_{run.path}_source" for run in runs)
    page = open_page("sources", "many")
    assert len(page.multiselect(key=one).options) == 30
    page = settled(page.multiselect(key=one).set_value(["source_29"]).run())
    assert into_view(page, "other").multiselect(key=other).value == []
    assert into_view(page, "many").multiselect(key=one).value == ["source_29"]


@pytest.mark.parametrize("column", ["median", "low", "high", "rows", "level"])
def test_the_table_of_a_trend_keeps_the_column_and_its_own(column: str) -> None:
    x, own = np.arange(3.0), {name: np.full(3, i) for i, name in enumerate(OF_TREND)}
    table = trend_table(column, Trend(x, **own))
    assert len(table.columns) == 5 and table.iloc[:, 0].tolist() == x.tolist()
    assert all((table[name] == own[name]).all() for name in OF_TREND)


@pytest.mark.parametrize("own", [("from", "to"), ("share",)])
def test_groups_may_be_called_as_the_columns_of_their_table(own: tuple[str, ...]) -> None:
    labels, counts = ("from", "to", "share", "a"), np.arange(8).reshape(4, 2)
    summary = Summary(shared_bins(np.arange(9.0)), counts, counts, pd.DataFrame(), labels)
    table = _by_group(summary, counts, {name: np.array([0.5, 0.75]) for name in own})
    assert table.shape == (2, len(own) + 4) and table.columns.is_unique
    np.testing.assert_array_equal(table.iloc[:, len(own) :].T, counts)
    assert all(table[name].tolist() == [0.5, 0.75] for name in own)


def test_without_texts_or_with_a_broken_shard(run: Run) -> None:
    without_texts(run)
    settled(open_page("sources", "made"))
    broken_shard(run)
    assert "This run cannot be read" in texts(open_page("sources", "made"))


def test_points_take_the_colours_of_a_column(run: Run) -> None:
    page = open_page("sources", "made", colour="topic")
    assert "Click a row to read it." in texts(page)
    figures = "".join(chart.proto.spec for chart in page.get("plotly_chart"))
    topics = {
        str(row["topic"]) for row in map(json.loads, run.scores(columns=["original"])["original"])
    }
    assert len(topics) == 5 and all(f'"name":"{topic}"' in figures for topic in topics)
    page.selectbox(key="colour").set_value("all rows")
    assert "Click a row to read it." not in texts(settled(page.run()))


def test_a_colour_that_this_run_has_not_is_forgotten(run: Run) -> None:
    page = open_page("sources", "made", colour="no such column")
    assert page.selectbox(key="colour").value == "all rows"


def test_another_score_keeps_the_lower_half_right(run: Run) -> None:
    """It is computed beside the upper half: the same numbers must come out."""
    shown = texts(open_page("sources", "made", scorer="focus"))
    frame = run.scores(columns=["focus", "n_tokens"])
    rho = frame["focus"].corr(frame["n_tokens"], method="spearman")
    assert f"Spearman **{rho:+.2f}**".replace("-", "−") in shown


def test_numbers_of_the_data_are_binned_and_drawn_as_a_trend(run: Run) -> None:
    for part in run.score_parts():
        frame = pd.read_parquet(part)
        frame["original"] = [
            json.dumps(
                json.loads(o)
                | {"cost": i * 1.5 if i else 1e9, "source": "x", "grade": f"Grade {i % 12}"}
            )
            for i, o in enumerate(frame["original"])
        ]
        frame.to_parquet(part, index=False)
    page = open_page("sources", "made", by="cost")
    options = page.selectbox(key="by").options
    assert len(options) == len(set(options)) and "cost" in options
    groups = table(page, "median")["group"].tolist()
    assert any(g.endswith(" and more") for g in groups) and 5 < len(groups) < 16
    assert "bar_group" not in [box.key for box in page.selectbox], "no filter knows such a group"
    graded = open_page("sources", "made", by="grade")
    names = [g for g in table(graded, "median")["group"] if g != "all"]
    assert names == [f"Grade {i}" for i in range(12)]
    page.selectbox(key="partial_column").set_value("cost")
    settled(page.run())
    assert together("95 % interval") in texts(page) and "at fixed length" in texts(page)


def test_of_many_rows_the_rank_correlations_with_a_column_take_a_part(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(run)
    assert store is not None
    of_all = with_column.__wrapped__(store, "variance", "level")  # type: ignore[attr-defined]
    known = of_all.plain.rows
    assert not of_all.plain.sampled and of_all.trend.rows.sum() == known
    monkeypatch.setattr(correlation, "RANKED_ROWS", known // 2)
    part = with_column.__wrapped__(store, "variance", "level")  # type: ignore[attr-defined]
    assert 3 < part.plain.used < known == part.plain.rows
    assert part.trend.rows.sum() == known and part.plain.rho != of_all.plain.rho
    numbers, values = store.original_numbers("level"), store.numbers("variance")
    assert part.plain == correlation.rank_correlation(numbers, values)
