"""Samples of either end, matched in pairs."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.browse.filters import Filter
from circuitseer_core.browse.pairs import TOLERANCE, matched_sets
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.runs.folder import Run
from tests.support.synthetic import Shape, make_run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ScoreStore:
    path: Path = tmp_path_factory.mktemp("pairs") / "run"
    return ScoreStore(Run.open(make_run(path, Shape(rows=400, sources=3))))


def test_pairs_match_and_nobody_stands_twice(store: ScoreStore) -> None:
    pairs = matched_sets(store, Filter(), "focus", 12, 40.0)
    assert len(pairs) == 12 and pairs["high_score"].is_monotonic_decreasing
    everyone = [*pairs["high"], *pairs["low"]]
    assert len(set(everyone)) == 24
    assert (pairs["high_place"] - pairs["low_place"] >= 40).all()
    for row in pairs.itertuples():
        high, low = store.sample(row.high), store.sample(row.low)
        assert high.source == low.source == row.source
        assert (high.n_tokens, low.n_tokens) == (row.high_tokens, row.low_tokens)
        assert abs(high.n_tokens - low.n_tokens) <= TOLERANCE * high.n_tokens
        assert high.scores["focus"] == row.high_score > low.scores["focus"]


def test_rows_of_pairs_are_their_places_in_the_data(tmp_path: Path) -> None:
    store = ScoreStore(Run.open(make_run(tmp_path / "run", Shape(rows=300, rows_per_part=100))))
    pairs = matched_sets(store, Filter(), "focus", 12, 40.0)
    for side in ("high", "low"):
        rows = pairs[f"{side}_row"].to_numpy()
        assert len(set(rows // 100)) > 1, "of several shards"
        assert store.ids_at(rows) == pairs[side].tolist()
        assert store.texts_at(rows) == {i: store.sample(i).text[:240] for i in pairs[side]}


def test_what_cannot_be_matched_is_fewer_pairs(store: ScoreStore) -> None:
    assert len(matched_sets(store, Filter(), "focus", 400, 0.0)) < 400
    assert matched_sets(store, Filter(tokens=(1, 2)), "focus", 5, 0.0).empty
    one = matched_sets(store, Filter(sources=("source_01",)), "focus", 3, 0.0)
    assert all(i.startswith("source_01/") for i in one["high"])


def test_a_score_that_follows_length_leaves_nobody_without_a_partner(tmp_path: Path) -> None:
    """The highest scores are all long and the lowest all short, as in a large pool."""
    store = ScoreStore(Run.open(make_run(tmp_path / "run", Shape(rows=20_000, profiles=0))))
    pairs = matched_sets(store, Filter(), "length", 10, 0.0)
    assert len(pairs) == 10
    lengths = [store.sample(i).n_tokens for i in [*pairs["high"], *pairs["low"]]]
    assert min(lengths) > 100


def test_the_partner_is_the_lowest_that_fits(store: ScoreStore) -> None:
    """Against a search through all rows, for the first pair, which nothing was taken before."""
    rows = store.run.scores(columns=["id", "source", "n_tokens", "focus"])
    (pair,) = matched_sets(store, Filter(), "focus", 1, 0.0).itertuples()
    for high in rows.sort_values(["focus", "id"], ascending=[False, True]).itertuples():
        near = (rows["n_tokens"] - high.n_tokens).abs() <= TOLERANCE * high.n_tokens
        fits = rows[near & (rows["source"] == high.source) & (rows["focus"] < high.focus)]
        if len(fits):
            break
    assert pair.high == high.id
    assert pair.low in set(fits["id"])
    same_length = fits[fits["n_tokens"] == high.n_tokens]["focus"]
    assert pair.low_score <= same_length.min()
