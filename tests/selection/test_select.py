"""cs.select: frames and files, budgets, ties, lists, duplicates."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuitseer_core.errors import UserError
from circuitseer_core.hashing import to_gumbels
from circuitseer_core.selection import review
from circuitseer_core.selection.budgets import rows_of
from circuitseer_core.selection.gumbel import (
    draw_hashes,
    probabilities,
)
from circuitseer_core.selection.select import select
from tests.support.run_factory import make_run
from tests.support.score_frames import INF, frame


def test_select_takes_the_keys_that_were_tested() -> None:
    scores = [0.5, 1.0, 1.5, 3.0, 6.0]
    for seed in range(50):
        noise = to_gumbels(draw_hashes([f"s/{i}" for i in range(5)], seed))
        keys = np.log(scores) + 2.0 * noise
        drawn = select(frame(scores), count=2, temperature=2.0, seed=seed)
        assert drawn["id"].tolist() == [f"s/{i}" for i in np.argsort(-keys)[:2]]
        assert np.allclose(drawn["key"], np.sort(keys)[::-1][:2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.0, 1e-9])
def test_temperature_zero_is_top_k_with_ties_by_hash(temperature: float) -> None:
    rng = np.random.default_rng(0)
    pool = frame(rng.integers(1, 6, 60).astype(float))
    noise = to_gumbels(draw_hashes(pool["id"].tolist(), 3))
    expected = pool.assign(g=noise).sort_values(["variance", "g"], ascending=False)["id"][:25]
    drawn = select(pool, count=25, temperature=temperature, seed=3)
    assert drawn["id"].tolist() == expected.tolist()
    other = select(pool, count=25, temperature=temperature, seed=4)
    assert set(drawn["id"]) != set(other["id"]), "ties must follow the seed"


def test_the_draw_is_the_same_on_every_machine() -> None:
    drawn = select(frame([1.0] * 12), count=5, seed=7)
    assert drawn["id"].tolist() == GOLDEN


GOLDEN = ["s/8", "s/11", "s/7", "s/9", "s/10"]  # the hashes by hand, in plain Python


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(30)), st.sampled_from([0.0, 0.3, 1.0, INF]), st.booleans())
def test_row_order_changes_nothing(order: list[int], temperature: float, strata: bool) -> None:
    rng = np.random.default_rng(1)
    pool = frame(
        np.round(rng.lognormal(size=30), 1),
        source=rng.choice(["a", "b", "c"], 30),
        n_tokens=rng.integers(5, 20, 30),
        prompt=[f"q {i % 25}" for i in range(30)],
    )
    options = {
        "fraction": 0.3,
        "temperature": temperature,
        "stratify": "proportional" if strata else "none",
        "length_control": "within-bins" if strata else "none",
    }
    once = select(pool, **options)
    again = select(pool.iloc[order].reset_index(drop=True), **options)
    pd.testing.assert_frame_equal(once, again)


def test_shards_change_nothing_and_texts_come_along(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    pool = frame(rng.lognormal(size=90), prompt=[f"q{i}" for i in range(90)])
    pool["response"] = [f"r{i}" for i in range(90)]
    for number, rows in enumerate(np.array_split(np.arange(90), 4)):
        pool.iloc[rows].to_parquet(tmp_path / f"part-{number}.parquet", row_group_size=7)
    whole = select(pool, count=20)
    parts = select(tmp_path, count=20)
    assert parts.columns.tolist() == [*pool.columns, "key", "probability", "rank"]
    pd.testing.assert_frame_equal(whole, parts, check_dtype=False)
    files = sorted(tmp_path.glob("*.parquet"), reverse=True)
    assert select(files, count=20)["id"].tolist() == whole["id"].tolist()


@pytest.mark.parametrize(("n", "rows"), [(4, 1), (14, 1), (15, 2), (1400, 140), (1405, 141)])
def test_a_tenth(n: int, rows: int) -> None:
    assert len(select(frame(np.ones(n)))) == rows


@settings(max_examples=60, deadline=None)
@given(st.integers(10, 400), st.integers(0, 20))
def test_token_budget_stops_at_the_first_that_does_not_fit(budget: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pool = frame(rng.lognormal(size=30), n_tokens=rng.integers(1, 10, 30))
    everything = select(pool, count=30, seed=seed)
    drawn = select(pool, tokens=budget, seed=seed)
    assert drawn["id"].tolist() == everything["id"].tolist()[: len(drawn)]
    assert drawn["n_tokens"].sum() <= budget
    if len(drawn) < 30:
        assert drawn["n_tokens"].sum() + everything["n_tokens"].iloc[len(drawn)] > budget


def test_token_budget_counts_the_field_it_is_told_to() -> None:
    pool = frame(np.ones(10), n_tokens=4, n_tokens_full=5, n_response_tokens=[7, None] * 5)
    spent = {
        field: select(pool, tokens=35, token_field=field)
        for field in ("prompt", "response", "both")
    }
    assert len(spent["prompt"]) == 7  # before truncation
    assert spent["response"]["n_response_tokens"].sum() == 35  # a missing response has no tokens
    both = spent["both"]
    assert 5 * len(both) + both["n_response_tokens"].sum() <= 35 < 5 * 10
    full = select(pool.assign(n_tokens_full=12), tokens=24, token_field="response", text="full")
    assert full["n_response_tokens"].sum() <= 24
    with pytest.raises(UserError, match="use token-field response"):
        select(pool, tokens=35, text="response")
    with pytest.raises(UserError, match="smaller than the first sample drawn"):
        select(pool, tokens=2)


def test_missing_and_broken_scores_are_left_out_and_counted() -> None:
    drawn = select(frame([1.0, None, math.nan, 2.0, math.inf, 0.0]), fraction=1.0)
    assert set(drawn["id"]) == {"s/0", "s/3", "s/5"}
    counts = drawn.attrs["selection"]["counts"]
    assert (counts["rows"], counts["eligible"], counts["no_score"]) == (6, 3, 3)
    assert drawn["probability"].tolist()[-1] == 0.0


def test_zero_scores_come_last_in_hash_order() -> None:
    scores = [0.0, 3.0, 0.0, 1.0, 0.0, 0.0]
    for temperature in (0.0, 1.0, 30.0):
        drawn = select(frame(scores), fraction=1.0, temperature=temperature, seed=5)
        noise = pd.Series(to_gumbels(draw_hashes([f"s/{i}" for i in range(6)], 5)))
        zeros = noise[[0, 2, 4, 5]].sort_values(ascending=False).index
        assert drawn["id"].tolist()[2:] == [f"s/{i}" for i in zeros]


def test_equal_scores_draw_uniformly_at_any_temperature() -> None:
    drawn = [
        select(frame([2.5] * 40), count=9, temperature=t, seed=1)["id"].tolist()
        for t in (0.0, 0.5, 1.0, INF)
    ]
    assert drawn[0] == drawn[1] == drawn[2] == drawn[3]
    assert select(frame([0.0] * 40), count=9, seed=1)["id"].tolist() == drawn[0]


def test_negative_scores_are_refused_where_they_have_no_meaning() -> None:
    pool = frame([-1.0, 2.0, 3.0])
    with pytest.raises(UserError, match="1 scores are negative"):
        select(pool, count=1)
    assert select(pool, count=3, temperature=0)["id"].tolist() == ["s/2", "s/1", "s/0"]
    assert len(select(pool, count=3, temperature=INF)) == 3


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.floats(0, 1e6, width=32) | st.none() | st.just(math.nan), min_size=1, max_size=25),
    st.sampled_from([0.0, 0.01, 1.0, 100.0, INF]),
    st.floats(0.01, 1),
)
def test_any_scores_give_a_sound_subset(
    scores: list[float | None], temperature: float, fraction: float
) -> None:
    usable = sum(s is not None and math.isfinite(s) for s in scores)
    pool = frame([math.nan if s is None else s for s in scores])
    if not usable:
        with pytest.raises(UserError, match="nothing is left to draw from"):
            select(pool, fraction=fraction, temperature=temperature)
        return
    drawn = select(pool, fraction=fraction, temperature=temperature)
    assert len(drawn) == rows_of(fraction, usable)
    assert drawn["id"].is_unique and drawn["rank"].tolist() == list(range(1, len(drawn) + 1))
    assert drawn["probability"].between(0, 1).all()
    finite = np.array([s for s in pool["variance"] if math.isfinite(s)])
    assert probabilities(finite, temperature).sum() == pytest.approx(1)


def test_strata_and_caps() -> None:
    source = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
    pool = frame(np.random.default_rng(6).lognormal(size=100), source=source)

    def drawn(**options: object) -> dict[str, int]:
        return select(pool, **options)["source"].value_counts().to_dict()

    assert drawn(count=25, stratify="proportional") == {"a": 15, "b": 8, "c": 2}
    assert drawn(count=45, stratify="equal") == {"a": 18, "b": 17, "c": 10}
    assert drawn(count=25, max_per_source=4) == {"a": 4, "b": 4, "c": 4}
    assert drawn(count=20, stratify="proportional", max_per_source=8) == {"a": 8, "b": 8, "c": 4}
    whole = select(pool, count=100)
    for name, rows in select(pool, count=25, stratify="proportional").groupby("source"):
        best = whole.loc[whole["source"] == name, "id"].tolist()
        assert rows["id"].tolist() == best[: len(rows)], "within a source the best keys are taken"


def test_token_strata_share_the_tokens() -> None:
    source = ["a"] * 60 + ["b"] * 30
    pool = frame(np.ones(90), source=source, n_tokens=[2] * 60 + [12] * 30)
    equal = select(pool, tokens=120, stratify="equal")
    assert equal.groupby("source")["n_tokens"].sum().to_dict() == {"a": 60, "b": 60}
    proportional = select(pool, tokens=120, stratify="proportional")
    assert proportional.groupby("source")["n_tokens"].sum().to_dict() == {"a": 30, "b": 84}


def test_must_haves_come_first_and_count() -> None:
    pool = frame(np.arange(1.0, 51.0), source=["a"] * 40 + ["b"] * 10)
    drawn = select(pool, count=5, temperature=0, include=["s/0", "s/3"])
    assert drawn["id"].tolist() == ["s/3", "s/0", "s/49", "s/48", "s/47"]
    capped = select(pool, count=5, temperature=0, include=["s/0", "s/3"], max_per_source=1)
    assert capped["id"].tolist() == ["s/3", "s/0", "s/49"]
    strata = select(pool, count=5, temperature=0, include=["s/48", "s/47"], stratify="proportional")
    assert strata["source"].tolist().count("b") == 2 and len(strata) == 5
    with pytest.raises(UserError, match="need 3 rows, the budget is 2"):
        select(pool, count=2, include=["s/0", "s/1", "s/2"])
    with pytest.raises(UserError, match="need 30 tokens, the budget is 25"):
        select(pool, tokens=25, include=["s/0", "s/1", "s/2"])


def test_lists_name_samples_by_id_and_by_normalised_text(tmp_path: Path) -> None:
    pool = frame(np.ones(6), prompt=["What is 1+1?", "B", "C", "D", "what is\n1+1? ", "F"])
    bench = tmp_path / "bench.jsonl"
    bench.write_text(json.dumps({"question": "WHAT IS  1+1?", "answer": "2"}) + "\n")
    ids = tmp_path / "ids.txt"
    ids.write_text("s/3\nnot there\n")
    drawn = select(pool, fraction=1.0, exclude=[str(bench), str(ids), "s/1"])
    assert set(drawn["id"]) == {"s/2", "s/5"}
    counts = drawn.attrs["selection"]["counts"]
    assert (counts["excluded_id"], counts["excluded_text"]) == (2, 2)
    both = select(pool, fraction=1.0, exclude=str(bench), include=["s/0", "s/5"])
    assert both.attrs["selection"]["counts"]["included_but_out"] == 1
    assert "s/0" not in set(both["id"]), "an exclusion wins over a wish"
    table = tmp_path / "earlier.parquet"
    drawn.to_parquet(table)
    assert set(select(pool, fraction=1.0, exclude=str(table))["id"]).isdisjoint(drawn["id"])


def test_an_excluded_question_does_not_come_back_as_its_copy() -> None:
    pool = frame(np.ones(4), prompt=["Same question?", " same  QUESTION?", "b", "c"])
    drawn = select(pool, fraction=1.0, exclude=["s/0"], duplicates="keep")
    assert set(drawn["id"]) == {"s/2", "s/3"}


def test_a_list_of_texts_is_never_silently_ignored(tmp_path: Path) -> None:
    bench = tmp_path / "bench.jsonl"
    bench.write_text('{"question": "q"}\n')
    with pytest.raises(UserError, match="the pool has none"):
        select(frame(np.ones(4)), exclude=str(bench))
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text('{"question": "q", "id": "s/1"}\n{"question": "r", "id": "other"}\n')
    lines = tmp_path / "lines.txt"
    lines.write_text("s/1\nwhat is 1 + 1?\n")
    for names in (mixed, lines):
        with pytest.raises(UserError, match="the pool has none"):
            select(frame(np.ones(4)), exclude=str(names))
    lines.write_text("s/1\nother/7\n")
    drawn = select(frame(np.ones(4)), exclude=str(lines), fraction=1.0)
    assert set(drawn["id"]) == {"s/0", "s/2", "s/3"}, "a list of ids needs no prompts"


@pytest.mark.parametrize("option", ["exclude_tags", "include_tags"])
def test_tags_without_a_run_are_never_silently_ignored(option: str) -> None:
    with pytest.raises(UserError, match="tags are kept in a run"):
        select(frame(np.ones(4)), **{option: ["odd"]})


def test_duplicates_keep_one_whatever_the_order() -> None:
    pool = frame(np.arange(1.0, 9.0), prompt=["a", "A ", "b", None, None, "c", "ａ", " "])
    kept = select(pool, fraction=1.0)
    assert len(kept) == 6, "rows without a prompt are no duplicates of each other"
    assert kept.attrs["selection"]["counts"]["duplicate"] == 2
    again = select(pool.iloc[::-1].reset_index(drop=True), fraction=1.0)
    assert set(again["id"]) == set(kept["id"])
    assert set(select(pool, fraction=1.0, seed=9)["id"]) == set(kept["id"])
    assert len(select(pool, fraction=1.0, duplicates="keep")) == 8
    for wanted in ("s/0", "s/1", "s/6"):
        assert wanted in set(select(pool, fraction=1.0, include=[wanted])["id"])


def test_ids_and_sources_of_any_type() -> None:
    pool = frame(np.ones(6), source=["a", "b", None, "a", "b", "a"])
    plain = select(pool.assign(id=[str(i) for i in range(6)]), count=3, max_per_source=2)
    typed = pool.assign(id=range(6), source=pool["source"].astype("category"))
    drawn = select(typed, count=3, max_per_source=2)
    assert drawn["id"].tolist() == [int(i) for i in plain["id"]]
    objects = pool.assign(id=pd.Series([str(i) for i in range(6)], dtype=object))
    assert select(objects, count=3, max_per_source=2)["id"].tolist() == plain["id"].tolist()
    with pytest.raises(UserError, match="1 rows have no id"):
        select(pool.assign(id=["a", None, "b", "c", "d", "e"]))


def test_repeated_ids_are_refused() -> None:
    pool = frame(np.ones(3)).assign(id=["a", "b", "a"])
    with pytest.raises(UserError, match="'a' stands in the pool more than once"):
        select(pool)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 0.1, "count": 3}, "one of fraction, count and tokens"),
        ({"fraction": 0.0}, "fraction: "),
        ({"fraction": 1.1}, "fraction: "),
        ({"count": 0}, "count: "),
        ({"count": 11}, "11 samples were asked for and 10 can be drawn"),
        ({"temperature": -1}, "temperature must lie"),
        ({"temperature": math.nan}, "temperature must lie"),
        ({"temperature": 2, "target_ess": 0.5}, "temperature or target-ess"),
        ({"target_ess": 2}, "target-ess: "),
        ({"max_per_source": 0}, "max-per-source: "),
        ({"stratify": "evenly"}, "stratify: "),
        ({"scorer": "focus"}, "no column 'focus'; found: id, variance"),
        ({"tokens": 5, "token_field": "both"}, "n_response_tokens"),
    ],
)
def test_bad_options_get_one_clear_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        select(frame(np.ones(10)), **options)
    assert "\n" not in str(caught.value)


def test_a_run_is_drawn_from_by_path_by_scoring_or_opened(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    pd.DataFrame({"id": ["x"], "source": ["s"], "reason": ["r"]}).to_parquet(
        run.scores_dir("default") / "rejects.parquet"
    )
    review.append(run.path, {"kind": "drop", "id": select(run, count=1)["id"][0]})
    options = {"tokens": 2000, "stratify": "proportional", "seed": 3}
    drawn = [
        select(source, **options)["id"].tolist()
        for source in (run, str(run.path), run.scores_dir("default"))
    ]
    assert drawn[0] == drawn[1] == drawn[2]
    assert run.selections() == [], "nothing is kept unless asked"
    kept = select(run, **options, save="mine")
    assert kept["id"].tolist() == drawn[0] == run.selection_ids("mine")["id"].tolist()
    assert set(kept.columns) >= {"prompt", "original", "key", "probability", "rank"}
    assert run.selection("mine").python == (
        f"circuitseer_core.select({str(run.path)!r}, save='mine', tokens=2000, "
        "stratify='proportional', seed=3)"
    )
    with pytest.raises(UserError, match="only a draw from a run can be saved"):
        select(frame([1.0, 2.0]), count=1, save="mine")
