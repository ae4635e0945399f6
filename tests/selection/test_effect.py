"""The preview says of a draw what the draw and its full diagnostics say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.data.prompts import prompt_hashes
from circuitseer_core.runs.columns import TOKEN_COLUMNS
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.texts import pool_prompts
from circuitseer_core.selection import effect as preview
from circuitseer_core.selection.diagnostics import diagnose
from circuitseer_core.selection.draw import draw
from circuitseer_core.selection.gumbel import draw_hashes
from circuitseer_core.selection.pool import pool_of
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.sift import Rules, sift
from tests.support.synthetic import Shape, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    shape = Shape(rows=3000, sources=4, rows_per_part=900)
    return Run.open(make_run(tmp_path_factory.mktemp("p") / "run", shape))


def drawing(run: Run, **options):
    settings = SelectionSettings.of(**options)
    store = ScoreStore(run)
    base = store.table(["id", "source", *TOKEN_COLUMNS]).to_pandas()
    pool = pool_of(
        base, store.numbers("variance"), settings, "prompt", pool_prompts(run, "default")
    )
    return draw(
        pool,
        settings,
        Rules(),
        sifted=sift(pool, Rules()),
        hashes=draw_hashes(pool.ids, settings.seed),
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.4, "count": 200, "seed": 3},
        {"temperature": 0.0},
        {"temperature": float("inf")},
        {"length_control": "within-bins", "stratify": "equal"},
        {"tokens": 9000, "target_ess": 0.5},
    ],
)
def test_the_previewed_rows_are_the_selected_ones(run: Run, options: dict) -> None:
    drawn = drawing(run, **options)
    select_run(run, SelectionSettings.of(name="real", **options))
    real = run.selection_ids("real")["id"].tolist()
    assert [drawn.pool.ids[int(i)] for i in drawn.chosen] == real


def test_the_numbers_are_those_of_the_diagnostics(run: Run) -> None:
    drawn = drawing(run, temperature=0.7)
    shown = preview.effect(drawn, preview.top_rows(drawn))
    full = diagnose(drawn, 40)
    assert shown.lift == pytest.approx(full.score.lift)
    assert shown.top_lift == pytest.approx(full.score.top_k_lift)
    assert shown.overlap_top == pytest.approx(full.overlap.top_k)
    assert shown.overlap_seed == pytest.approx(full.overlap.seeds_mean)
    assert shown.concentration["ess_share"] == pytest.approx(full.ess_share)
    shares = {row.source: row.share for row in full.sources}
    assert dict(zip(shown.sources["source"], shown.sources["after"], strict=True)) == shares
    assert shown.drawn.mean() == pytest.approx(shown.rows / shown.pool_rows, rel=0.02)
    for bins, before, after in (shown.score, shown.length):
        assert before.sum() == shown.pool_rows and after.sum() == shown.rows
        assert (after <= before).all() and bins.count == len(before)


@pytest.mark.parametrize("options", [{"temperature": 0.5}, {"stratify": "equal"}])
def test_the_expected_overlap_is_near_the_simulated_one(
    run: Run, options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = drawing(run, **options)
    seeds = np.mean(diagnose(drawn, 40).overlap.seeds)
    monkeypatch.setattr(preview, "EXACT_ROWS", 0)
    assert preview.effect(drawn, preview.top_rows(drawn)).overlap_seed == pytest.approx(
        seeds, abs=0.03
    )


@pytest.mark.parametrize("temperature", [0.5, float("inf")])
def test_every_group_with_a_budget_of_its_own_has_its_own_chances(
    run: Run, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the subset from a group of a twentieth of the rows, which is no source."""
    settings = SelectionSettings.of(
        temperature=temperature, stratify="equal", stratify_by="level", count=240
    )
    pool = drawing(run).pool
    rare = (np.arange(len(pool)) % 20 == 0).astype(np.int64)
    drawn = draw(replace(pool, stratum=rare, strata=("common", "rare")), settings, Rules())
    seeds = np.mean(diagnose(drawn, 40).overlap.seeds)
    monkeypatch.setattr(preview, "EXACT_ROWS", 0)
    shown = preview.effect(drawn, preview.top_rows(drawn)).overlap_seed
    assert shown == pytest.approx(seeds, abs=0.05)


def test_must_haves_do_not_lower_the_expected_overlap(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in whatever their keys: κ is the smallest key of the rows that had to pass."""
    plain = drawing(run, temperature=0.5)
    worst = frozenset(str(plain.pool.ids[i]) for i in np.argsort(plain.keys)[:20])
    rules = Rules(include_ids=worst)
    drawn = draw(plain.pool, SelectionSettings.of(temperature=0.5), rules)
    seeds = np.mean(diagnose(drawn, 40).overlap.seeds)
    monkeypatch.setattr(preview, "EXACT_ROWS", 0)
    shown = preview.effect(drawn, preview.top_rows(drawn)).overlap_seed
    assert shown == pytest.approx(seeds, abs=0.03)


def test_top_k_does_not_depend_on_the_dial(run: Run) -> None:
    one, other = drawing(run, temperature=0.3, seed=1), drawing(run, temperature=2.0, seed=9)
    assert set(preview.top_rows(one)) == set(preview.top_rows(other))


def test_prompts_are_compared_without_reading_them(run: Run) -> None:
    stored = pool_prompts(run, "default")
    prompts = run.scores("default", ["prompt"])["prompt"]
    assert stored is not None
    assert stored.tolist() == prompt_hashes(prompts).tolist()
