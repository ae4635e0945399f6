"""Near-duplicates: planted pairs are found, nothing below the threshold is taken."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.selection import near_duplicates as module
from circuitseer_core.selection.near_duplicates import (
    band_rows,
    find_near_duplicates,
    jaccard,
    shingles,
)

VOCABULARY = [f"w{i}" for i in range(400)]


def text(rng: np.random.Generator, words: int = 60) -> list[str]:
    return rng.choice(VOCABULARY, words).tolist()


def changed(words: list[str], rng: np.random.Generator, edits: int) -> list[str]:
    """The same text with the words at its end exchanged: the index falls evenly with them."""
    return [*words[: len(words) - edits], *rng.choice(VOCABULARY, edits).tolist()]


def index_of(one: str, other: str) -> float:
    """The Jaccard index of the runs of five words, slowly."""
    first, second = (
        {tuple(words[i : i + 5]) for i in range(len(words) - 4)}
        for words in (one.split(), other.split())
    )
    return len(first & second) / len(first | second)


def test_planted_pairs_at_the_threshold_are_found_and_no_others() -> None:
    rng = np.random.default_rng(0)
    prompts, planted = [], []
    for pair in range(400):
        base = text(rng)
        # 6 or 5 of 56 runs: an index of 50/62 = 0.806 or 51/61 = 0.836; 7 leave 49/63 = 0.778.
        twin = changed(base, rng, (6, 5, 7, 20)[pair % 4])
        planted.append((2 * pair, 2 * pair + 1))
        prompts += [" ".join(base), " ".join(twin)]
    near = find_near_duplicates(prompts, 0.8)
    pairs = set(zip(near.left.tolist(), near.right.tolist(), strict=True))
    truth = {(i, j) for i, j in planted if index_of(prompts[i], prompts[j]) >= 0.8}
    assert len(truth) == 200
    recall = len(pairs & truth) / len(truth)
    false = pairs - truth
    print(f"recall {recall:.3f}, false positives {len(false)}, candidates {near.candidates}")
    assert recall >= 0.95
    assert not false, "every candidate is compared exactly"
    assert near.candidates > len(pairs), "the bands alone would have taken some"


def test_the_index_is_exact_and_the_bands_find_what_they_promise() -> None:
    rng = np.random.default_rng(1)
    prompts = [" ".join([*text(rng, 9), "a", "b", "c"]) for _ in range(12)]
    for one, other in itertools.combinations(prompts, 2):
        assert jaccard(shingles(one), shingles(other)) == pytest.approx(index_of(one, other))
    for threshold in (0.5, 0.7, 0.8, 0.9, 1.0):
        rows = band_rows(threshold)
        assert 1 - (1 - threshold**rows) ** (module.PERMUTATIONS // rows) >= module.RECALL
    assert band_rows(0.5) < band_rows(0.8) < band_rows(0.9)


def test_the_same_runs_share_a_node_and_blanks_have_none() -> None:
    prompts = ["One, two, three!", "one two three", None, " ", "3 + 4", "3 - 4", "?"]
    near = find_near_duplicates(prompts, 0.8)
    assert near.node.tolist() == [0, 0, -1, -1, 1, 2, -1] and not len(near.left)
    assert find_near_duplicates([], 0.8).candidates == 0


def test_too_much_shared_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    base = text(rng, 100)
    prompts = [" ".join(changed(base, rng, 1)) for _ in range(40)]
    assert find_near_duplicates(prompts, 0.8).candidates > 100
    monkeypatch.setattr(module, "MOST_CANDIDATES", 100)
    with pytest.raises(UserError, match="raise the threshold"):
        find_near_duplicates(prompts, 0.8)
