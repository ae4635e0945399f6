"""The pairs of a blind review: their strata, nobody twice, and no lean to either side."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from circuitseer_core.browse.pairs import TOLERANCE
from circuitseer_core.browse.review_pairs import Rated, band_edges, review_pairs
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.review_records import ReviewOptions, ReviewPair
from tests.support.synthetic import Shape, make_run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ScoreStore:
    path: Path = tmp_path_factory.mktemp("review") / "run"
    return ScoreStore(Run.open(make_run(path, Shape(rows=900, sources=3))))


def drawn(
    store: ScoreStore, *, seen: set[str] = frozenset(), seed: int = 7, **asked: object
) -> list[ReviewPair]:
    rated = Rated.of(store, "variance")
    return review_pairs(store, rated, ReviewOptions(**asked), seen=seen, seed=seed)


def everyone(pairs: list[ReviewPair]) -> list[str]:
    return [sample for pair in pairs for sample in (pair.left, pair.right)]


def test_pairs_are_what_they_say_and_nobody_stands_twice(store: ScoreStore) -> None:
    pairs = drawn(store, pairs=60, gap=20.0)
    assert len(pairs) == 60 and len(set(everyone(pairs))) == 120
    low, high = band_edges(store.numbers("n_tokens"))
    limits = {"short": (0, low), "middle": (low + 0.1, high), "long": (high + 0.1, 1e9)}
    ranks = store.frame("SELECT id, percent_rank() OVER (ORDER BY variance) AS p FROM samples")
    place = dict(zip(ranks["id"], 100 * ranks["p"], strict=True))
    for pair in pairs:
        left, right = store.sample(pair.left), store.sample(pair.right)
        assert left.source == right.source == pair.source
        assert (left.n_tokens, right.n_tokens) == pair.tokens
        assert max(pair.tokens) <= min(pair.tokens) * (1 + TOLERANCE) + 1e-9
        assert all(limits[pair.band][0] <= n <= limits[pair.band][1] for n in pair.tokens)
        assert (left.scores["variance"], right.scores["variance"]) == pair.scores
        assert abs(place[pair.left] - place[pair.right]) >= 20.0
        assert pair.percentiles[0] == pytest.approx(place[pair.left], abs=2e-3)


def test_strata_are_those_asked_for_and_even(store: ScoreStore) -> None:
    pairs = drawn(store, pairs=18)
    assert set(Counter((p.source, p.band) for p in pairs).values()) == {2}
    some = drawn(store, pairs=12, sources=["source_01"], bands=["short", "long"])
    assert Counter((p.source, p.band) for p in some) == {
        ("source_01", "short"): 6, ("source_01", "long"): 6,
    }  # fmt: skip


def test_as_the_data_follows_the_rows_of_the_strata(store: ScoreStore) -> None:
    pairs = drawn(store, pairs=60, spread="as the data")
    rows = dict(store.sources().itertuples(index=False))
    by_source = Counter(p.source for p in pairs)
    for source, count in rows.items():
        assert by_source[source] == pytest.approx(60 * count / 900, abs=2.5)


def test_who_was_seen_is_not_shown_again(store: ScoreStore) -> None:
    first = drawn(store, pairs=40)
    second = drawn(store, pairs=40, seen=set(everyone(first)))
    assert len(second) == 40 and not set(everyone(first)) & set(everyone(second))


def test_one_seed_gives_one_batch_and_neither_side_is_favoured(store: ScoreStore) -> None:
    assert drawn(store, seed=1) == drawn(store, seed=1) != drawn(store, seed=2)
    pairs = drawn(store, pairs=150)
    higher_left = sum(p.scores[0] > p.scores[1] for p in pairs)
    assert 50 <= higher_left <= 100
    halves = Counter(p.source for p in pairs[:75])
    assert all(halves[s] >= 10 for s in ("source_00", "source_01", "source_02"))  # shuffled


def test_what_cannot_be_matched_is_fewer_pairs(store: ScoreStore) -> None:
    ids = store.table(["id"]).column(0).to_pylist()
    few = drawn(store, pairs=20, seen=set(ids[6:]))
    assert len(few) <= 3
    assert drawn(store, seen=set(ids)) == []
    assert drawn(store, sources=["nobody"]) == []
