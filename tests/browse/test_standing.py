"""A rank is of all rows: alike from a list, from a jump and under a filter."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from circuitseer_core.browse.filters import Filter
from circuitseer_core.browse.pairs import matched_sets
from circuitseer_core.browse.standing import from_percentile, from_rank, standings
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.runs.folder import Run
from tests.support.synthetic import Shape, make_run

SOURCE = Filter(sources=("source_01",))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ScoreStore:
    path: Path = tmp_path_factory.mktemp("standing") / "run"
    run = Run.open(make_run(path, Shape(rows=300, sources=3)))
    part = run.score_parts()[0]
    frame = pd.read_parquet(part)
    frame.loc[:39, "variance"] = None
    frame.to_parquet(part, index=False)
    return ScoreStore(run)


@pytest.fixture(scope="module")
def frame(store: ScoreStore) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(p) for p in store.parts], ignore_index=True)


@pytest.mark.parametrize("scorer", ["variance", "length"])  # lengths have ties
def test_standings_agree_with_the_lists(
    store: ScoreStore, frame: pd.DataFrame, scorer: str
) -> None:
    known = frame[frame[scorer].notna()]
    down, up = (known.sort_values([scorer, "id"], ascending=[way, True]) for way in (False, True))
    ids = [*down["id"][:3], *down["id"][120:123], *frame["id"][:2]]
    stand = standings(store, ids, scorer)
    assert set(stand) == set(ids) & set(known["id"])
    for name, place in stand.items():
        own = float(known.loc[known["id"] == name, scorer].iloc[0])
        assert down["id"].iloc[place.rank - 1] == up["id"].iloc[place.from_lowest - 1] == name
        assert place.rows == len(known)
        below = (known[scorer] < own).sum()
        assert place.percentile == pytest.approx(100 * below / (len(known) - 1))
    assert standings(store, ["nobody"], scorer) == {}


def test_a_jump_under_a_filter_opens_the_next_lower_row_that_is_shown(
    store: ScoreStore, frame: pd.DataFrame
) -> None:
    order = frame[frame["variance"].notna()].sort_values(
        ["variance", "id"], ascending=[False, True]
    )
    inside = [name.startswith("source_01/") for name in order["id"]]
    for rank in (1, 40, 41, 42, len(order)):
        opened = str(from_rank(store, SOURCE, "variance", rank))
        later = [i for i in range(rank - 1, len(order)) if inside[i]]
        last = max(i for i in range(len(order)) if inside[i])
        assert opened == order["id"].iloc[later[0] if later else last]
        assert str(from_rank(store, Filter(), "variance", rank)) == order["id"].iloc[rank - 1]
    top = str(from_percentile(store, SOURCE, "variance", 100.0))
    assert top == order["id"].iloc[inside.index(True)]
    assert from_rank(store, Filter(), "variance", len(order) + 1) is None
    assert from_rank(store, Filter(within=("nobody",)), "variance", 1) is None


def test_percentiles_of_pairs_are_of_all_rows_under_a_filter(store: ScoreStore) -> None:
    pairs = matched_sets(store, SOURCE, "focus", 5, 10.0)
    assert len(pairs)
    for side in ("high", "low"):
        stand = standings(store, list(pairs[side]), "focus")
        shown = pairs[f"{side}_place"].tolist()
        assert shown == pytest.approx([stand[name].percentile for name in pairs[side]])
