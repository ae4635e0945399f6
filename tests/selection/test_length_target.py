"""A draw with the lengths of another one: as many rows of every length, otherwise uniform."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from circuitseer_core.errors import UserError
from circuitseer_core.export.verify import verify
from circuitseer_core.export.write import export
from circuitseer_core.selection.draw import draw
from circuitseer_core.selection.length_target import (
    length_bins,
    length_target,
    narrow_target,
    target_in_run,
)
from circuitseer_core.selection.pool import load_pool
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.sift import Rules
from tests.support.run_factory import make_rows, make_run, score_frame


def _long_run(path: Path):
    """A run whose score is its length: the soft draw takes long rows."""
    frame = score_frame(make_rows(600))
    return make_run(path, frame=frame.assign(variance=frame["n_tokens"].astype(float) ** 3))


def test_the_bins_hold_the_selection() -> None:
    tokens = np.random.default_rng(0).integers(5, 200, 137)
    target = length_target(tokens, "soft")
    assert sum(target.rows) == 137 and len(target.rows) == len(target.edges) + 1
    bins = length_bins(tokens, target.edges)
    assert np.bincount(bins, minlength=len(target.rows)).tolist() == target.rows
    assert length_target(np.array([7, 7, 7]), "x").rows == [3], "fewer than ten rows: one bin"


def test_lengths_follow_the_other_selection_and_nothing_else_does(tmp_path: Path) -> None:
    run = _long_run(tmp_path / "run")
    options = {"scorer": "variance", "token_field": "both"}
    select_run(run, SelectionSettings.of(name="soft", tokens=8000, **options))
    matched = SelectionSettings.of(
        name="matched", match_lengths="soft", temperature="inf", **options
    )
    record = select_run(run, matched)
    uniform = SelectionSettings.of(name="uniform", tokens=8000, temperature="inf", **options)
    select_run(run, uniform)
    soft, ours, free = (run.selection_ids(name) for name in ("soft", "matched", "uniform"))
    assert len(ours) == len(soft) and record.lengths.of == "soft"
    assert ks_2samp(ours["tokens"], soft["tokens"]).statistic < 0.1
    assert ks_2samp(free["tokens"], soft["tokens"]).statistic > 0.2, "without it they differ"
    assert set(ours["id"]) != set(soft["id"])
    assert abs(ours["tokens"].sum() / soft["tokens"].sum() - 1) < 0.01
    assert record.diagnostics.overlap.seeds_mean < 1, "other seeds obey the same lengths"


def test_the_narrow_bins_hold_the_selection_and_nothing_beyond_it() -> None:
    tokens = np.random.default_rng(0).lognormal(5, 0.8, 300).astype(int)
    target = narrow_target(tokens, "soft")
    assert sum(target.rows) == 300 and len(target.rows) == len(target.edges) + 1
    assert target.rows[0] == target.rows[-1] == 0, "nothing shorter or longer"
    assert target.edges[0] == tokens.min() and target.edges[-1] == tokens.max() + 1
    edges = np.array(target.edges)
    assert ((np.ceil(edges[1:]) - 1) / np.ceil(edges[:-1]) < 1.1001).all()
    few = narrow_target(tokens[:25], "soft")
    assert max((b - 1) / a for a, b in zip(few.edges, few.edges[1:], strict=False)) < 1.0376
    assert narrow_target(np.array([7, 7, 7]), "x").rows == [0, 3, 0]


@pytest.mark.parametrize("tokens", [300, 1500, 8000, 20_000])
def test_the_tokens_are_those_of_the_other_selection(tmp_path: Path, tokens: int) -> None:
    """Lengths as data have them, few of them long, and a score that rises with length."""
    rows = score_frame(make_rows(1200))
    lengths = np.random.default_rng(5).lognormal(3.6, 0.7, len(rows)).astype(int) + 5
    rows["n_tokens"], rows["variance"] = lengths, lengths.astype(float)
    run = make_run(tmp_path / "run", frame=rows)
    differences = []
    for seed in range(6):
        options = {"seed": seed, "token_field": "prompt"}
        select_run(run, SelectionSettings.of(name=f"soft{seed}", tokens=tokens, **options))
        asked = {"match_lengths": f"soft{seed}", "temperature": "inf"}
        select_run(run, SelectionSettings.of(name=f"m{seed}", **asked, **options))
        soft, ours = (run.selection_ids(f"{name}{seed}")["tokens"] for name in ("soft", "m"))
        assert len(soft) == len(ours)
        differences.append(ours.sum() / soft.sum() - 1)
        places = [0.1, 0.25, 0.5, 0.75, 0.9, 1.0]
        assert np.allclose(np.quantile(ours, places), np.quantile(soft, places), rtol=0.1)
    assert np.abs(differences).max() < 0.01


def test_wide_bins_stand_where_narrow_ones_have_too_few_rows(tmp_path: Path) -> None:
    run = _long_run(tmp_path / "run")
    select_run(run, SelectionSettings.of(name="soft", count=60))
    asked = {"match_lengths": "soft", "temperature": "inf"}
    narrow = select_run(run, SelectionSettings.of(name="m", **asked))
    taken = (tmp_path / "taken.txt").write_text("\n".join(run.selection_ids("soft")["id"]))
    assert taken and len(narrow.lengths.rows) > 20
    apart = SelectionSettings.of(name="apart", exclude=(str(tmp_path / "taken.txt"),), **asked)
    wide = select_run(run, apart)
    assert len(wide.lengths.rows) <= 20
    assert not set(run.selection_ids("apart")["id"]) & set(run.selection_ids("soft")["id"])


def test_must_haves_beyond_a_length_are_refused_not_dropped(tmp_path: Path) -> None:
    run = _long_run(tmp_path / "run")
    select_run(run, SelectionSettings.of(name="soft", count=60))
    lengths = run.scores("default", ["id", "n_tokens"]).sort_values("n_tokens")
    musts = tuple(lengths["id"][:30])  # the shortest, of which the soft draw has few
    asked = {"match_lengths": "soft", "temperature": "inf"}
    with pytest.raises(UserError, match="to include are more than selection 'soft' has"):
        select_run(run, SelectionSettings.of(name="m", include=musts, **asked))
    few = select_run(
        run, SelectionSettings.of(name="m", include=tuple(lengths["id"][-2:]), **asked)
    )
    assert few.counts.included == 2
    assert run.selection_ids("m")["included"].sum() == 2


def test_a_draw_of_before_that_dropped_must_haves_verifies(tmp_path: Path) -> None:
    run = _long_run(tmp_path / "run")
    select_run(run, SelectionSettings.of(name="soft", count=60))
    pool = load_pool(run, SelectionSettings.of(name="m"))
    musts = frozenset(run.scores("default", ["id", "n_tokens"]).nsmallest(30, "n_tokens")["id"])
    asked = SelectionSettings.of(name="m", match_lengths="soft", temperature="inf")
    target = target_in_run(run, asked, pool, Rules())
    drawn = draw(pool, asked, Rules(include_ids=musts), target=target, every_must=False)
    assert len(drawn.chosen) == 60
    assert not musts <= {pool.ids[i] for i in drawn.rows}


def test_an_export_of_it_is_verified_without_the_other_selection(tmp_path: Path) -> None:
    run = _long_run(tmp_path / "run")
    select_run(run, SelectionSettings.of(name="soft", count=60))
    select_run(run, SelectionSettings.of(name="m", match_lengths="soft", temperature="inf"))
    out = export(run, "m", tmp_path / "m.jsonl").path
    select_run(run, SelectionSettings.of(name="soft", count=20, temperature=0))
    assert verify(out).ok


def test_what_cannot_be_matched_is_one_line(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(UserError, match="no selection named 'soft'"):
        select_run(run, SelectionSettings.of(name="m", match_lengths="soft"))
    with pytest.raises(UserError, match="names the selection that is to be drawn"):
        select_run(run, SelectionSettings.of(name="m", match_lengths="m"))
    with pytest.raises(UserError, match="give no budget"):
        SelectionSettings.of(name="m", match_lengths="soft", count=3)


def test_the_lowest_are_the_other_end(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    select_run(run, SelectionSettings.of(name="low", count=20, temperature=0, lowest=True))
    scores = run.scores("default")
    assert set(run.selection_ids("low")["id"]) == set(scores.nsmallest(20, "variance")["id"])
    select_run(run, SelectionSettings.of(name="softly", count=60, lowest=True))
    means = [run.selection_ids(name)["score"].mean() for name in ("low", "softly")]
    assert means[0] < means[1] < scores["variance"].mean()
