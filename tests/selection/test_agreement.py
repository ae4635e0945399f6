"""How far a person and a score agree: rates, intervals, chance, strata and files."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from scipy import stats

from circuitseer_core.runs.review_records import ReviewBatch, ReviewPair
from circuitseer_core.selection import review
from circuitseer_core.selection.agreement import (
    Agreement,
    agreement,
    batch_table,
    beside,
    by_stratum,
    mean_agreement,
    to_json,
    wilson,
)
from tests.selection.test_review import verdict


def batch(count: int = 6, name: str = "1") -> ReviewBatch:
    """Pairs a0/b0, …: even ones from ``x`` with a small gap, odd ones from ``y`` with a big one."""
    pairs = [
        ReviewPair(
            left=f"a{n}", right=f"b{n}", source="xy"[n % 2], band="short",
            scores=(2.0, 1.0), percentiles=(90.0, 80.0 - 60 * (n % 2)), tokens=(30, 31),
        )
        for n in range(count)
    ]  # fmt: skip
    return ReviewBatch(batch=name, time="2026-01-01", scorer="variance", pairs=pairs)


def judge(path: Path, of: ReviewBatch, choices: str) -> None:
    words = {"l": "left", "r": "right", "t": "tie", "s": "skip"}
    for pair, letter in zip(of.pairs, choices, strict=False):
        sides = {"left": pair.left, "right": pair.right, "choice": words[letter]}
        rest = {"batch": of.batch, "scorer": of.scorer, "scores": list(pair.scores)}
        review.append(path, {"kind": "verdict", **sides, **rest})


def opened(path: Path, of: ReviewBatch) -> ReviewBatch:
    review.append(path, {"kind": "batch", **of.model_dump(mode="json")})
    return of


def test_agreement_counts_decided_pairs(tmp_path: Path) -> None:
    for line in (
        verdict("left", 2, 1, "ab"),
        verdict("right", 1, 2, "cd"),
        verdict("left", 1, 2, "ef"),
        verdict("tie", 1, 2, "gh"),
        verdict("left", 2, 2, "ij"),
        verdict("skip", 2, 1, "kl"),
    ):
        review.append(tmp_path, line)
    agreed = agreement(review.load(tmp_path).verdicts)
    assert (agreed.agreed, agreed.decided, agreed.ties, agreed.skipped) == (2, 3, 2, 1)
    assert agreed.rate == pytest.approx(2 / 3) and agreed.chance == 1.0
    assert agreed.interval == pytest.approx((0.2077, 0.9385), abs=1e-4)


def test_nothing_decided_says_nothing(tmp_path: Path) -> None:
    agreed = agreement(review.load(tmp_path).verdicts)
    assert math.isnan(agreed.rate) and agreed.interval == (0.0, 1.0) and agreed.decided == 0
    assert agreed.chance == 1.0


def test_wilson_against_published_values() -> None:
    low, high = wilson(81, 263)  # Newcombe 1998, table I
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    low, high = wilson(0, 20)
    assert low == 0 and round(high, 4) == 0.1611


def test_chance_is_the_exact_two_sided_binomial(tmp_path: Path) -> None:
    judge(tmp_path, opened(tmp_path, batch(20)), "l" * 15 + "r" * 5)
    agreed = agreement(review.load(tmp_path).verdicts)
    by_hand = 2 * sum(math.comb(20, k) for k in range(15, 21)) / 2**20
    assert agreed.chance == pytest.approx(by_hand) == pytest.approx(0.04139, abs=1e-5)


def test_strata_add_up_to_the_whole(tmp_path: Path) -> None:
    own = opened(tmp_path, batch(6))
    judge(tmp_path, own, "lrlrrt")
    state = review.load(tmp_path)
    table = batch_table(own, state)
    assert table["choice"].tolist() == ["left", "right", "left", "right", "right", "tie"]
    assert table["agrees"].tolist() == [True, False, True, False, False, None]
    strata = {(kind, name): (a.agreed, a.decided) for kind, name, a in by_stratum(table)}
    assert strata == {
        ("source", "x"): (2, 3),
        ("source", "y"): (0, 2),
        ("gap", "50 points and more"): (0, 2),
        ("gap", "under 50 points"): (2, 3),
    }


def test_the_same_verdicts_against_another_score(tmp_path: Path) -> None:
    own = opened(tmp_path, batch(4))
    judge(tmp_path, own, "lllt")
    turned = {f"a{n}": 0.0 for n in range(4)} | {"b0": 1.0, "b1": -1.0, "b3": 5.0}
    agreed = beside(
        batch_table(own, review.load(tmp_path)), ["other"], lambda i, _: turned.get(i, math.nan)
    )["other"]
    assert (agreed.agreed, agreed.decided, agreed.ties) == (1, 2, 2)  # b2 has no such score


def test_files_hold_every_pair_and_the_answer(tmp_path: Path) -> None:
    own = opened(tmp_path, batch(4))
    judge(tmp_path, own, "lrs")
    document = json.loads(to_json(own, review.load(tmp_path), {"run": "mine"}))
    assert document["run"] == "mine" and document["agreement"]["judged"] == 3
    assert document["agreement"]["rate"] == 0.5 and document["agreement"]["skipped"] == 1
    assert [p["agrees"] for p in document["pairs"]] == [True, False, None, None]
    assert [p["choice"] for p in document["pairs"]] == ["left", "right", "skip", ""]
    places = [p["pair"] for p in document["pairs"]]
    assert all(b - a == 1 for a, b in pairwise(places))


def test_a_mean_over_draws_leaves_open_what_pairs_and_draws_leave_open() -> None:
    alike = mean_agreement([Agreement(30, 40)] * 3)
    assert alike.rate == 0.75 and (alike.agreed, alike.decided) == (30, 40)
    assert alike.interval == pytest.approx(wilson(30, 40)), "equal draws add nothing"
    apart = mean_agreement([Agreement(n, 40) for n in (20, 30, 40)])
    half = stats.t.ppf(0.975, 2) * 0.25 / 3**0.5
    low = wilson(30, 40)[0]
    assert apart.interval[0] == pytest.approx(max(0.0, 0.75 - math.hypot(0.75 - low, half)))
    assert apart.interval[0] < alike.interval[0] and apart.interval[1] > alike.interval[1]
    nothing = mean_agreement([Agreement(0, 0, ties=4)])
    assert math.isnan(nothing.rate) and nothing.interval == (0.0, 1.0) and nothing.decided == 0
