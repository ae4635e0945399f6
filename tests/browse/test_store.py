"""The store answers as pandas would, and takes texts by id where a run has none."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.browse.filters import Filter, json_value, quoted
from circuitseer_core.browse.groupings import FACET_VALUES
from circuitseer_core.browse.pairs import TOLERANCE, matched_pairs, partner
from circuitseer_core.browse.store import ScoreStore
from circuitseer_core.errors import UserError
from circuitseer_core.files import stamp
from circuitseer_core.runs.folder import Run
from tests.support.synthetic import Shape, make_run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ScoreStore:
    path = make_run(
        tmp_path_factory.mktemp("q") / "run", Shape(rows=700, sources=4, rows_per_part=200)
    )
    return ScoreStore(Run.open(path))


@pytest.fixture(scope="module")
def frame(store: ScoreStore) -> pd.DataFrame:
    table = pd.concat([pd.read_parquet(p) for p in store.parts], ignore_index=True)
    return table.assign(level=[json.loads(o)["level"] for o in table["original"]])


def ordered(frame: pd.DataFrame, scorer: str = "variance", down: bool = True) -> list[str]:
    return frame.sort_values([scorer, "id"], ascending=[not down, True])["id"].tolist()


FILTERS = {
    "all": (Filter(), lambda f: f["n_tokens"] > 0),
    "source": (Filter(sources=("source_01", "source_03")), lambda f: f["source"].isin(
        ["source_01", "source_03"])),
    "score": (Filter(scores=(("focus", (3.0, 9.0)),)), lambda f: f["focus"].between(3.0, 9.0)),
    "tokens": (Filter(tokens=(40, 70)), lambda f: f["n_tokens"].between(40, 70)),
    "text": (Filter(text="COIN card"), lambda f: f["prompt"].str.contains("coin card")
             | f["response"].str.contains("coin card")),
    "original": (Filter(original=(("level", ("2", "5")),)), lambda f: f["level"].isin([2, 5])),
}  # fmt: skip


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_admits_what_pandas_would(
    name: str, store: ScoreStore, frame: pd.DataFrame
) -> None:
    rows, condition = FILTERS[name]
    wanted = ordered(frame[condition(frame)])
    assert len(wanted) > 0 and (name == "all") == (len(wanted) == len(frame))
    assert store.count(rows) == len(wanted)
    page = store.page(rows, scorer="variance", offset=3, limit=7)
    assert page["id"].tolist() == wanted[3:10]
    texts = frame.set_index("id")["prompt"]
    assert all(texts[i].startswith(t) for i, t in zip(page["id"], page["text"], strict=True))


def test_filters_combine_and_ids_narrow_or_exclude(store: ScoreStore, frame: pd.DataFrame) -> None:
    some = tuple(frame["id"][:50])
    both = Filter(sources=("source_00",), within=some, without=some[:10])
    left = frame[:50][10:]
    assert store.count(both) == int((left["source"] == "source_00").sum())
    assert store.count(Filter(within=())) == 0


def test_text_is_taken_literally(store: ScoreStore) -> None:
    for text in ("coin.*card", "%", "_", "'; DROP TABLE samples; --", "(", "\\"):
        assert store.count(Filter(text=text)) == 0, text
    assert store.count(Filter(text="coin")) > 0


def test_pages_partition_the_rows_in_either_order(store: ScoreStore, frame: pd.DataFrame) -> None:
    for down in (True, False):
        pages = [
            store.page(Filter(), scorer="focus", descending=down, offset=o, limit=100)
            for o in range(0, 700, 100)
        ]
        assert pd.concat(pages)["id"].tolist() == ordered(frame, "focus", down)
        texts = frame.set_index("id")["prompt"].str[:240]
        assert pd.concat(pages).set_index("id")["text"].to_dict() == texts.to_dict()


def test_rank_and_percentile_agree_with_the_order(store: ScoreStore, frame: pd.DataFrame) -> None:
    order = ordered(frame)
    for rank in (1, 2, 350, 351, 699, 700):
        assert store.at_rank(Filter(), "variance", rank) == order[rank - 1]
        assert store.rank(order[rank - 1], "variance") == (rank, 700)
    assert store.at_rank(Filter(), "variance", 701) is None
    assert store.at_percentile(Filter(), "variance", 100) == order[0]
    assert store.at_percentile(Filter(), "variance", 0) == order[-1]
    source = Filter(sources=("source_02",))
    inside = ordered(frame[frame["source"] == "source_02"])
    assert store.at_rank(source, "variance", 5) == inside[4]
    assert store.rank(inside[4], "variance", source) == (5, len(inside))


def test_a_random_row_is_the_same_for_the_same_seed(store: ScoreStore) -> None:
    rows = Filter(sources=("source_01",))
    picks = [store.at_random(rows, seed) for seed in range(20)]
    assert picks == [store.at_random(rows, seed) for seed in range(20)]
    assert len(set(picks)) > 12 and all(p and p.startswith("source_01/") for p in picks)
    assert store.at_random(Filter(text="no such words"), 1) is None


def test_a_sample_comes_back_whole(store: ScoreStore, frame: pd.DataFrame) -> None:
    row = frame.iloc[123]
    sample = store.sample(row["id"])
    assert (sample.text, sample.source) == (row["prompt"], row["source"])
    assert len(sample.profile) == row["n_tokens"] == len(sample.token_starts)
    assert sample.profile.sum() == pytest.approx(1, abs=0.01)
    assert sample.scores["variance"] == row["variance"]
    assert sample.original["level"] == row["level"]
    with pytest.raises(UserError, match="no sample has the id 'nobody'"):
        store.sample("nobody")


def test_several_samples_come_in_the_order_they_were_asked_for(store: ScoreStore) -> None:
    ids = store.ids_at(np.array([650, 3, 204]))
    several = store.samples(ids)
    assert [sample.id for sample in several] == list(ids)
    assert [sample.text for sample in several] == [store.sample(name).text for name in ids]
    with pytest.raises(UserError, match="no sample has the id 'nobody'"):
        store.samples([ids[0], "nobody"])


def test_columns_come_in_data_order(store: ScoreStore, frame: pd.DataFrame) -> None:
    assert np.array_equal(store.numbers("focus"), frame["focus"].to_numpy())
    sources = store.groups("source")
    assert [sources.labels[c] for c in sources.codes] == frame["source"].tolist()
    sizes = frame["source"].value_counts()
    assert [sizes[label] for label in sources.labels] == sorted(sizes, reverse=True)
    levels = store.groups("level")
    assert [levels.labels[c] for c in levels.codes] == frame["level"].astype(str).tolist()
    with pytest.raises(UserError, match="no column 'nonsense'"):
        store.numbers("nonsense")


def test_facets_are_columns_with_few_values(store: ScoreStore) -> None:
    facets = store.facets()
    assert facets["level"] == ["1", "2", "3", "4", "5"]
    assert set(facets) == {"level", "topic"}  # "answer" has more than the limit
    assert all(len(values) <= FACET_VALUES for values in facets.values())


def test_every_value_offered_of_a_column_admits_its_rows(tmp_path: Path) -> None:
    run = Run.open(make_run(tmp_path / "run", Shape(rows=12)))
    values = [1e-05, 1e22, 0.1, 2.0, 3, "1e-05", "x", True, -0.5, float("nan"), None, [1]]
    part = run.score_parts()[0]
    frame = pd.read_parquet(part)
    frame["original"] = [json.dumps({"v": value}) for value in values]
    frame.to_parquet(part, index=False)
    store = ScoreStore(run)
    offered = store.facets()["v"]
    counts = [store.count(Filter(original=(("v", (value,)),))) for value in offered]
    assert counts == [1] * 9 and len(set(offered)) == 9


def test_matched_pairs_share_source_and_length(store: ScoreStore, frame: pd.DataFrame) -> None:
    by_id = frame.set_index("id")
    pairs = matched_pairs(store, Filter(), "variance", limit=60)
    assert len(pairs) > 30
    for pair in pairs.itertuples():
        high, low = by_id.loc[pair.high], by_id.loc[pair.low]
        assert high["source"] == low["source"] and high["variance"] > low["variance"]
        assert abs(low["n_tokens"] - high["n_tokens"]) <= TOLERANCE * high["n_tokens"]
        near = by_id[
            (by_id["source"] == high["source"])
            & ((by_id["n_tokens"] - high["n_tokens"]).abs() <= TOLERANCE * high["n_tokens"] + 1e-9)
        ]
        assert low["variance"] == near["variance"].min()
    assert pairs["high_score"].is_monotonic_decreasing


def test_a_partner_is_the_furthest_score_nearby(store: ScoreStore, frame: pd.DataFrame) -> None:
    by_id = frame.set_index("id")
    own = by_id.iloc[40]
    partner_row = by_id.loc[partner(store, str(own.name), "variance")]
    near = by_id[
        (by_id["source"] == own["source"])
        & ((by_id["n_tokens"] - own["n_tokens"]).abs() <= TOLERANCE * own["n_tokens"] + 1e-9)
    ]
    gaps = (near["variance"] - own["variance"]).abs()
    assert abs(partner_row["variance"] - own["variance"]) == gaps.max()


def test_names_become_safe_sql() -> None:
    assert quoted('a"b') == '"a""b"'
    assert "json_extract_string(original, '/it''s~1a~0key')" in json_value("it's/a~key")


@dataclass
class Text:
    prompt: str
    response: str | None = None
    original: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def numbers_only(tmp_path: Path) -> Run:
    run = Run.open(make_run(tmp_path / "numbers", Shape(rows=60, sources=2)))
    for part in run.score_parts():
        frame = pd.read_parquet(part)
        frame[["prompt", "response", "original"]] = None
        frame.to_parquet(part, index=False)
    return run


def test_a_run_without_texts_takes_them_by_id(numbers_only: Run) -> None:
    bare = ScoreStore(numbers_only)
    assert not bare.has_texts and bare.facets() == {}
    ids = bare.page(Filter(), scorer="variance", limit=60)["id"].tolist()
    assert bare.page(Filter(), scorer="variance", limit=1)["text"].iloc[0] == ""
    texts = {i: Text(f"What is {n}?", "it is", {"level": n % 3}) for n, i in enumerate(ids[:40])}
    assert not ScoreStore(numbers_only, texts={"another/id": Text("what?")}).has_texts
    store = ScoreStore(numbers_only, texts=texts)
    assert store.has_texts
    assert store.count(Filter(text="what IS 7?")) == 1
    assert store.facets() == {"level": ["0", "1", "2"]}
    assert store.count(Filter(original=(("level", ("1",)),))) == 13
    assert store.sample(ids[5]).text == "What is 5?" and store.sample(ids[50]).text == ""
    assert store.groups("level").codes.min() == -1  # the twenty without a text


def test_a_broken_shard_is_one_clear_line(tmp_path: Path) -> None:
    run = Run.open(make_run(tmp_path / "broken", Shape(rows=60)))
    run.score_parts()[0].write_bytes(b"not parquet at all")
    with pytest.raises(UserError, match="part-00000.parquet cannot be read") as caught:
        ScoreStore(run)
    assert "\n" not in str(caught.value)


def test_the_stamp_changes_with_the_files(tmp_path: Path) -> None:
    run = Run.open(make_run(tmp_path / "run", Shape(rows=60)))
    before = stamp(run.score_parts())
    part = run.score_parts()[0]
    part.write_bytes(part.read_bytes() + b" ")
    assert stamp(run.score_parts()) != before


def test_a_shard_that_breaks_while_it_is_open_is_one_line(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", Shape(rows=60))
    store = ScoreStore(Run.open(path))
    store.parts[0].write_bytes(b"PAR1 no more PAR1")
    for read in (
        lambda: store.numbers("variance"),
        lambda: store.original_numbers("level"),
        lambda: store.groups("level"),
        lambda: store.ids_at(np.array([0])),
        lambda: store.count(Filter(text="coin")),
    ):
        with pytest.raises(UserError, match="the scores cannot be read"):
            read()


@pytest.mark.parametrize("name", ["a[1]", "a?", "*", "source=mine", "n_tokens=5"])
def test_a_path_is_no_pattern_and_names_no_column(tmp_path: Path, name: str) -> None:
    """Else rows of another run would be read, or a column have the folder's value."""
    make_run(tmp_path / "a1", Shape(rows=60))
    path = make_run(tmp_path / name, Shape(rows=90))
    store = ScoreStore(Run.open(path))
    table = pd.concat([pd.read_parquet(p) for p in store.parts], ignore_index=True)
    page = store.page(Filter(), scorer="variance", limit=200)
    assert page["id"].tolist() == ordered(table) and store.rows == 90
    assert sorted(page["source"]) == sorted(table["source"])
    assert sorted(page["n_tokens"]) == sorted(table["n_tokens"])
