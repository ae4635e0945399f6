"""Figures of heads: what they show is what the tables say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from circuitseer_core.detection.head_stability import bootstrap_membership_of, per_source
from circuitseer_core.detection.heads import select_heads
from circuitseer_core.detection.importance_table import delta_matrix
from circuitseer_core.figures import head_detail, heads
from circuitseer_core.figures.style import DARK, LIGHT, Theme
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import percent
from tests.support.synthetic import Shape, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    shape = Shape(layers=5, heads=4, racing=True, detect_only=True)
    return Run.open(make_run(tmp_path_factory.mktemp("figures") / "run", shape))


def test_the_grid_places_every_head_and_leaves_absent_ones_out() -> None:
    frame = pd.DataFrame({"layer": [0, 1, 1], "head": [0, 0, 2], "importance": [1.0, -2.0, 3.0]})
    expected = [[1.0, np.nan, np.nan], [-2.0, np.nan, 3.0]]
    np.testing.assert_array_equal(heads.grid(frame), expected)


@pytest.mark.parametrize("scale", ["sqrt", "linear"])
def test_colours_are_odd_monotone_and_zero_at_zero(scale: str) -> None:
    values = np.linspace(-2, 2, 41)
    t = heads.squash(values, 2.0, scale)
    assert t[20] == 0 and t[0] == -1 and t[-1] == 1
    np.testing.assert_allclose(t, -t[::-1], atol=1e-12)
    assert (np.diff(t) > 0).all()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1.234, "+1.2"), (-0.00456, "−0.0046"), (12.0, "+12"), (float("nan"), "n/a")],
)
def test_signed_numbers_have_a_true_minus(value: float, text: str) -> None:
    assert heads.signed_significant(value) == text


def test_ticks_undo_the_squashing() -> None:
    positions, labels = heads.scale_ticks(0.8, "sqrt")
    assert labels[positions.index(0.5)] == "+0.20"
    assert labels[positions.index(-1.0)] == "−0.80"


def test_the_map_outlines_the_kept_and_hatches_raced_out_heads(run: Run) -> None:
    table = run.heads()
    kept = select_heads(table, "2")
    fig = heads.importance_map(table, kept=kept)
    outlined = {(int(s.y0 + 0.5), int(s.x0 + 0.5)) for s in fig.layout.shapes}
    assert outlined == set(kept)
    heat = fig.data[0]
    raced = heads.grid(table, "raced_out").astype(bool)
    assert np.isnan(np.array(heat.z, dtype=float)[raced]).all()
    faint, hatch = fig.data[1:]
    pilot = np.where(raced, heads.grid(table), np.nan)
    np.testing.assert_array_equal(np.array(faint.customdata, dtype=float), pilot)
    assert faint.opacity == heads.FAINT < 1 and "pilot" in faint.hovertemplate
    assert set(zip(hatch.y, hatch.x, strict=True)) == set(zip(*np.nonzero(raced), strict=True))
    assert (heat.zmin, heat.zmax) == (-1, 1)


def test_the_sorted_curve_is_in_rank_order(run: Run) -> None:
    fig = heads.sorted_curve(run.heads(), [])
    line = next(t for t in fig.data if t.name == "ΔL")
    expected = run.heads().sort_values("rank")["importance"]
    np.testing.assert_array_equal(line.y, expected)


def test_the_sorted_curve_shades_the_kept_ranks_and_no_others(run: Run) -> None:
    ordered = run.heads().sort_values("rank")
    cells = list(zip(ordered["layer"], ordered["head"], strict=True))
    fig = heads.sorted_curve(ordered, [cells[i] for i in (0, 1, 5)])
    shaded = [(s.x0, s.x1) for s in fig.layout.shapes if s.type == "rect"]
    assert shaded == [(0.9, 2.5), (5.5, 6.5)]


def test_layer_sums_add_up(run: Run) -> None:
    table = run.heads()
    kept = select_heads(table, "4")
    layers = heads.layer_table(table, kept)
    assert layers["sum_importance"].sum() == pytest.approx(table["importance"].sum())
    assert layers["kept"].sum() == 4
    fig = heads.layer_marginals(table, kept)
    np.testing.assert_allclose(fig.data[0].y, layers["sum_importance"])


def test_two_sources_bring_their_difference(run: Run) -> None:
    table = per_source(run.importance(), run.probe())
    names = sorted(table["source"].unique())[:2]
    fig = heads.source_maps(run.heads(), table, names)
    maps = [np.array(t.customdata, dtype=float) for t in fig.data]
    assert len(maps) == 3
    np.testing.assert_allclose(maps[2], maps[0] - maps[1])
    titles = [a.text for a in fig.layout.annotations]
    n = table[table["source"] == names[0]]["n"].max()
    assert titles[0] == f"{names[0]}<br>n = {n}"
    assert titles[2] == f"{names[0]}<br>− {names[1]}"


def test_sources_of_one_shortened_name_keep_a_map_each(run: Run) -> None:
    table = per_source(run.importance(), run.probe())
    names = sorted(table["source"].unique())[:2]
    long = {name: f"one long name of a data set {name}" for name in names}
    renamed = table[table["source"].isin(names)].replace({"source": long})
    fig = heads.source_maps(run.heads(), renamed, list(long.values()))
    assert len(fig.data) == 3 and fig.layout.annotations[0].text.startswith("one long name")


def test_pilot_estimates_are_faint_and_hatched_on_a_source_map_too(run: Run) -> None:
    table = per_source(run.importance(), run.probe())
    names = sorted(table["source"].unique())[:2]
    fig = heads.source_maps(run.heads(), table, names, raced=[(0, 1), (2, 3)])
    assert [t.type for t in fig.data] == ["heatmap", "heatmap", "scatter"] * 3
    for at in range(0, 9, 3):
        drawn, faint, marks = fig.data[at : at + 3]
        values, pilot = (np.array(t.customdata, dtype=float) for t in (drawn, faint))
        assert set(zip(*np.nonzero(np.isfinite(pilot)), strict=True)) == {(0, 1), (2, 3)}
        assert np.isnan(values[0, 1]) and np.isnan(values[2, 3]) and np.isfinite(values[0, 0])
        assert (list(marks.x), list(marks.y)) == ([1, 3], [0, 2])


@pytest.mark.parametrize("late_first", [False, True])
def test_a_source_that_the_pilot_had_not_has_a_map_of_the_same_shape(
    run: Run, late_first: bool
) -> None:
    table = per_source(run.importance(), run.probe())
    early, late = sorted(table["source"].unique())[:2]
    raced = [(1, 3), (4, 0), (4, 1), (4, 2), (4, 3)]  # the last layer and the last head of another
    cells = pd.MultiIndex.from_frame(table[["layer", "head"]])
    table = table[~((table["source"] == late) & cells.isin(raced))]
    names = [late, early] if late_first else [early, late]
    fig = heads.source_maps(run.heads(), table, names, raced=raced)
    drawn, faint = fig.data[0::3], fig.data[1::3]
    assert [np.shape(t.z) for t in (*drawn, *faint)] == [(5, 4)] * 6
    pilots = [int(np.isfinite(np.array(t.customdata, dtype=float)).sum()) for t in faint]
    assert pilots == ([0, 5, 0] if late_first else [5, 0, 0])


def test_intervals_by_source_are_means_and_standard_errors() -> None:
    deltas = pd.DataFrame(
        {"id": list("abcd"), "source": ["x", "x", "y", "y"], "delta_loss": [1.0, 3.0, 5.0, 9.0]}
    )
    table = head_detail.source_intervals(deltas)
    assert table["source"].tolist() == ["all", "y", "x"]
    assert table["importance"].tolist() == [4.5, 7.0, 2.0]
    assert table["stderr"].iloc[2] == pytest.approx(1.0)
    points = head_detail.delta_by_source(deltas).data[0]
    assert sorted(points.x) == [1.0, 3.0, 5.0, 9.0]


def test_membership_shows_each_probability_and_the_cut(run: Run) -> None:
    _, cells, deltas = delta_matrix(run.importance_dir)
    probabilities = pd.DataFrame(cells, columns=["layer", "head"])
    probabilities["probability"] = bootstrap_membership_of(deltas, 2, 50)
    table = (
        run.heads()
        .sort_values("rank")
        .head(6)
        .merge(probabilities, how="left", on=["layer", "head"])
    )
    fig = head_detail.membership(table, 2)
    assert list(fig.data[-1].text) == [
        "–" if pd.isna(p) else percent(p) for p in table["probability"]
    ]
    assert any(s.y0 == 1.5 for s in fig.layout.shapes)
    kept = [(int(row.layer), int(row.head)) for row in table.iloc[[0, 4]].itertuples()]
    filled = head_detail.membership(table, 2, kept=kept).data[0].marker.color
    assert [colour == LIGHT.accent for colour in filled] == [i in (0, 4) for i in range(6)]


def test_pairs_say_which_set_a_head_is_in(run: Run) -> None:
    table = run.heads()
    first, second = select_heads(table, "2"), select_heads(table, "1")
    pairs = head_detail.pair_heads(table, table, (first, second), ("a", "b"))
    assert pairs["set"].value_counts().to_dict() == {"neither": 18, "both": 1, "a": 1}
    fig = head_detail.run_scatter(pairs, ("a", "b"))
    assert sum(len(t.x) for t in fig.data if t.mode == "markers") == len(table)
    assert head_detail.same_shape(table, table)
    assert not head_detail.same_shape(table, table[table["layer"] < 3])


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_every_figure_draws_in_both_themes(run: Run, theme: Theme) -> None:
    table = run.heads()
    for fig in (
        heads.importance_map(table, theme=theme),
        heads.sorted_curve(table, [(0, 0)], theme=theme),
        heads.layer_marginals(table, [], theme=theme),
    ):
        assert isinstance(fig, go.Figure)
        assert fig.layout.template.layout.paper_bgcolor == theme.paper


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_palettes_have_the_sizes_that_the_app_theme_takes(theme: Theme) -> None:
    assert len(theme.sequential) == len(theme.diverging) == len(theme.categorical) == 10
    config = (Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text()
    for palette in (theme.sequential, theme.diverging, theme.categorical):
        assert all(colour in config for colour in palette)


def test_importance_over_sink_share() -> None:
    table = pd.DataFrame({"layer": [0, 0, 1], "head": [0, 1, 0], "importance": [1.0, -0.25, 0.0]})
    fig = head_detail.importance_by_sink(table.assign(sink_share=[0.9, 0.5, 0.1]), [(0, 0)])
    others, kept = fig.data
    assert list(kept.x) == [0.9] and list(others.x) == [0.5, 0.1]
    assert kept.y[0] == 1.0 and others.y[0] == pytest.approx(-0.5)  # a signed square root
