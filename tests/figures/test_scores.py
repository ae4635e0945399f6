"""Figures are pure, small whatever the number of rows, and never take data for markup."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from circuitseer_core import distributions as dist
from circuitseer_core.figures import lengths as length_figures
from circuitseer_core.figures import review, scores, selection, tokens
from circuitseer_core.figures.style import DARK, LIGHT, Theme

HOSTILE = '<b onmouseover="x">& <script>'


@pytest.fixture(scope="module")
def groups() -> tuple[np.ndarray, np.ndarray, dist.Bins, np.ndarray]:
    rng = np.random.default_rng(1)
    values, codes = rng.gamma(2, 2, 50_000), rng.integers(0, 3, 50_000).astype(np.int32)
    bins = dist.shared_bins(values, 40)
    return values, codes, bins, dist.histogram(values, codes, 3, bins)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("density", [False, True])
def test_histogram_rows(groups, theme, density: bool) -> None:
    _, _, bins, counts = groups
    fig = scores.histogram_by_group(
        counts, bins, ["a", "b", HOSTILE], theme, medians=np.array([3.0, 3.0, np.nan]),
        x_title="variance", density=density,
    )  # fmt: skip
    bars, lines, notes = fig.data
    assert sum(row[3] for row in bars.customdata) == counts.sum()
    assert [int(t.replace(",", "")) for t in notes.text] == counts.sum(axis=1).tolist()
    assert len(lines.x) == 2 * 3  # the group without a median has no line
    row = np.asarray(bars.base) == 1  # the middle group
    fullest = counts[1].max() if density else counts.max()
    wanted = 0.88 * counts[1][counts[1] > 0] / fullest
    assert np.asarray(bars.y)[row] == pytest.approx(wanted)
    assert sum(line[4] for line in np.array(bars.customdata, object)[row]) == pytest.approx(1)
    assert "<script>" not in json.dumps(fig.layout.yaxis.ticktext)
    assert len(fig.to_json()) < 60_000
    assert fig.layout.paper_bgcolor is None and fig.layout.template.layout.paper_bgcolor


def test_a_bar_says_by_number_what_its_name_says_escaped(groups) -> None:
    _, _, bins, counts = groups
    labels = ["a", "R&D", HOSTILE]
    fig = scores.histogram_by_group(
        counts, bins, labels, LIGHT, medians=np.full(3, 3.0), x_title="variance"
    )
    for name, low, _, rows, _, group, at, _ in fig.data[0].customdata:
        assert counts[group, at] == rows and bins.edges[at] == low
        assert (name == labels[group]) == (group == 0)


def test_log_bins_keep_their_values_on_the_axis(groups) -> None:
    values, codes, _, _ = groups
    bins = dist.shared_bins(values, 40, log=True)
    fig = scores.histogram_by_group(
        dist.histogram(values, codes, 3, bins), bins, list("abc"), LIGHT,
        medians=np.full(3, 4.0), x_title="v",
    )  # fmt: skip
    axis = fig.layout.xaxis
    assert axis.ticktext and all(
        float(t.replace(",", "")) == pytest.approx(10**v)
        for t, v in zip(axis.ticktext, axis.tickvals, strict=True)
    )


def test_ecdf_and_boxes(groups) -> None:
    values, codes, _, _ = groups
    levels = np.linspace(0, 1, 51)
    grid = dist.quantiles(dist.by_group(values, codes, 3), levels)
    fig = scores.ecdf_by_group(grid, levels, ["a", "b", HOSTILE], LIGHT, x_title="v")
    assert [len(t.x) for t in fig.data] == [51] * 3
    assert all(np.all(np.diff(t.x) >= 0) for t in fig.data)
    table = dist.statistics(values, values, codes, ["a", "b", HOSTILE])
    boxes = scores.boxes_by_group(table, LIGHT, x_title="v")
    assert np.allclose(boxes.data[0].median, table["median"])
    assert not any("<script>" in name for name in boxes.layout.yaxis.ticktext)


def test_long_names_are_cut_where_they_are_shown_and_rows_stay_apart() -> None:
    names = ["a-very-long-name-of-a-source-1", "a-very-long-name-of-a-source-2"]
    table = pd.DataFrame({"source": names, "before": [0.7, 0.3], "after": [0.6, 0.4]})
    fig = selection.shares_by_source(table, LIGHT)
    assert list(fig.data[-1].y) == names
    assert fig.layout.yaxis.ticktext == ("a-very-long-name-of-a…",) * 2
    assert fig.layout.margin.l < 200


def test_many_groups_stay_apart() -> None:
    levels = np.linspace(0, 1, 5)
    fig = scores.ecdf_by_group(
        np.tile(levels, (24, 1)), levels, [str(i) for i in range(24)], LIGHT, x_title="v"
    )
    assert len({(t.line.color, t.line.dash) for t in fig.data}) == 24


def test_score_against_length_and_controls(groups) -> None:
    values, _, bins, counts = groups
    lengths = dist.shared_bins(values * 10, 20, log=True)
    places = [dist.bin_of(values * 10, lengths), dist.bin_of(values, bins)]
    cells = dist.histogram2d(*places, (bins.count, lengths.count))
    fig = length_figures.score_against_length(
        cells, lengths, bins, LIGHT, medians=np.full(20, 2.0), y_title="v"
    )
    heat = fig.data[0]
    assert np.isnan(np.asarray(heat.z, float)[cells == 0]).all()
    assert np.nansum(np.asarray(heat.customdata)) == len(values)
    lines = scores.against_controls(counts, bins, ["chosen", "r1", "r2"], LIGHT, x_title="v")
    assert lines.data[-1].name == "chosen"  # drawn last, on top


def test_selection_figures() -> None:
    table = pd.DataFrame(
        {"source": ["a", HOSTILE], "before": [0.7, 0.3], "after": [0.6, 0.4],
         "expected_low": [0.5, 0.3], "expected_high": [0.7, 0.5]}
    )  # fmt: skip
    fig = selection.shares_by_source(table, LIGHT)
    assert [t.name for t in fig.data if t.showlegend is None][-2:] == ["pool", "subset"]
    assert "<script>" not in str(fig.data[-1].y)
    bins = dist.shared_bins(np.arange(100.0), 10)
    both = selection.before_after(np.full(10, 10), np.arange(10), bins, DARK, x_title="tokens")
    assert [np.sum(t.y) for t in both.data] == pytest.approx([1, 1])
    drawn = selection.drawn_share(np.linspace(0, 0.2, 20), 0.1, 90, LIGHT)
    assert drawn.data[0].x[0] == 2.5 and drawn.data[0].x[-1] == 97.5
    low = selection.drawn_share(
        np.zeros(5), 0.1, 90, LIGHT, of="the score, lowest at 100", taken="z"
    )
    assert low.layout.xaxis.title.text == "percentile of the score, lowest at 100"
    assert "z" in [note.text for note in low.layout.annotations]


def test_profile_bars_cut_the_sink_and_say_its_height() -> None:
    profile = np.full(50, 0.6 / 49)
    profile[0] = 0.4
    out = np.zeros(50, bool)
    out[0] = True
    fig = tokens.profile_bars(profile, ["t"] * 50, LIGHT, left_out=out, picked=3)
    bars = fig.data[0]
    assert bars.y[0] < 20 * 0.4 and bars.customdata[0][1] == pytest.approx(20.0)
    assert any(a.text == "20.0×" for a in fig.layout.annotations)
    assert bars.marker.color[0] == LIGHT.faint and bars.marker.color[3] == LIGHT.categorical[1]
    assert tokens.profile_bars(np.array([]), [], LIGHT).data[0].x.size == 0
    marked_up = tokens.profile_bars(np.full(1, 1.0), ["<b>%{x}"], LIGHT)
    assert marked_up.data[0].customdata[0][0] == "&lt;b>&#37;{x}"


def test_no_bar_is_cut_without_a_mark() -> None:
    profile = np.array([0.2, 0.2, 0.2, 0.2, *np.full(46, 0.2 / 46)])
    fig = tokens.profile_bars(profile, ["t"] * 50, LIGHT, left_out=np.arange(50) < 4)
    cut = np.flatnonzero(profile * 50 > fig.data[0].y.max() + 1e-9)
    assert list(fig.data[1].x) == list(cut) == [0, 1, 2, 3]


def test_attention_map_is_causal_and_names_the_tokens_of_a_cell() -> None:
    rng = np.random.default_rng(0)
    matrix = np.tril(rng.random((411, 411)))  # 2,048 tokens: the first, and 410 times five or less
    fig = tokens.attention_map(matrix, ["t"] * 2048, LIGHT, first_share=0.004, pool=5)
    sink, heat = fig.data
    assert np.isnan(np.asarray(heat.z, float)[0]).all()
    assert sink.x == ("0 t",) and heat.x[:2] == ("1 t … 5", "6 t … 10")
    assert heat.x[-1] == "2046 t … 2047"
    assert "largest of 5 × 5 tokens" in heat.hovertemplate
    assert "largest of 5 × 1 tokens" in sink.hovertemplate
    inner = np.tri(411, dtype=bool) & (np.arange(411) > 0)
    assert heat.zmax == pytest.approx(100 * np.quantile(matrix[inner], 0.99))
    np.testing.assert_allclose(np.ravel(sink.z), 100 * matrix[:, 0], atol=1e-3)
    assert (sink.zmin, sink.zmax) == (0, 100)
    assert fig.layout.title.text.endswith("0.4 % on the first token")
    assert len(fig.layout.xaxis2.tickvals) <= tokens.TICKS
    assert len(fig.to_json()) < 4_000_000


def test_attention_map_names_tokens_and_says_what_the_first_one_gets() -> None:
    uniform = np.tril(np.ones((5, 5))) / np.arange(1, 6)[:, None]
    mean = np.mean([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    fig = tokens.attention_map(uniform, list("abcde"), DARK, first_share=mean, title="Head 3.1")
    assert list(fig.data[1].x) == ["1 b", "2 c", "3 d", "4 e"]
    assert fig.data[1].y[0] == "0 a"
    assert fig.data[1].z[4][3] == pytest.approx(20.0)
    assert "largest" not in fig.data[1].hovertemplate
    assert fig.layout.title.text == f"Head 3.1: {100 * mean:.0f} % on the first token"
    assert fig.data[1].colorbar.ticktext[-1].startswith("≥ ")  # 50 % is beyond the scale
    one = tokens.attention_map(np.ones((1, 1)), ["a"], LIGHT, first_share=1.0)
    assert "100 % on the first token" in one.layout.title.text


def test_agreement_lines_mark_chance_and_leave_out_the_undecided() -> None:
    lines = pd.DataFrame(
        {
            "name": ["All <pairs>", "short"], "rate": [0.75, np.nan], "low": [0.5, 0.0],
            "high": [0.9, 1.0], "agreed": [15, 0], "decided": [20, 0],
        }
    )  # fmt: skip
    fig = review.agreement_lines(lines, LIGHT)
    assert list(fig.data[0].x) == [0.75] and list(fig.data[0].error_x.array) == [0.9 - 0.75]
    assert fig.layout.shapes[0].x0 == 0.5
    assert fig.layout.yaxis.ticktext == ("All &lt;pairs> (20)", "short (0)")


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_points_by_group(theme: Theme) -> None:
    across = np.array([10.0, 20.0, 30.0, 40.0, 50.0])
    up, ids = across / 10, ["a", "b", "<i>c", "d", "e"]
    codes = np.array([2, 0, 1, -1, 0], dtype=np.int32)

    fig = length_figures.points_by_group(
        across, up, codes, ("2", "10", "1"), ids, theme, y_title="focus"
    )
    drawn = sorted(fig.data, key=lambda trace: trace.legendrank)
    assert [trace.name for trace in drawn] == ["1", "2", "10", "none"]  # numbers in order
    assert [trace.customdata.tolist() for trace in drawn] == [["a"], ["b", "e"], ["<i>c"], ["d"]]
    assert drawn[2].text[0] == "&lt;i>c" and list(drawn[1].x) == [20.0, 50.0]
    colours = [trace.marker.color for trace in drawn]
    assert colours == sorted(set(colours), key=colours.index)  # all apart
    assert fig.data[0].name == "none"  # below the others

    names = tuple(f"topic {i}" for i in range(12))
    many = length_figures.points_by_group(
        across, up, np.array([0, 8, 9, 11, -1], dtype=np.int32), names, ids, theme, y_title="f"
    )
    assert len(many.data) == 10
    rest = next(trace for trace in many.data if trace.name == "other")
    assert rest.customdata.tolist() == ["<i>c", "d", "e"]
    whole = length_figures.points_by_group(
        across, up, np.zeros(5, dtype=np.int32), names, ids, theme, y_title="f"
    )
    assert "other" not in [trace.name for trace in whole.data]  # nothing is grey, so no legend
