"""Words and runs of words: what counts as the same text."""

from __future__ import annotations

import numpy as np
import pytest

from circuitseer_core.selection.words import run_hashes, text_run_hash, words_of


@pytest.mark.parametrize(
    ("text", "words", "with_signs"),
    [
        ("What is 3 + 4?", "what is 3 4", "what is 3 + 4"),
        ("\\frac{1}{2}x^2", "frac 1 2 x 2", "frac 1 2 x ^ 2"),
        ("Straße, ＡＢＣ!", "strasse abc", "strasse abc"),
        ("求3の和 now", "求 3 の 和 now", "求 3 の 和 now"),
        ("snake_case", "snake case", "snake case"),
        (" \n ", "", ""),
    ],
)
def test_words(text: str, words: str, with_signs: str) -> None:
    assert words_of(text) == words.split() and words_of(text, signs=True) == with_signs.split()


def test_equal_runs_have_equal_hashes_wherever_they_stand() -> None:
    one, other = ["a", "b", "c", "d", "e", "f"], ["x", "y", "b", "c", "d", "z"]
    runs = run_hashes(one, 3)
    assert len(runs) == 4 and len(np.unique(runs)) == 4
    shared = np.intersect1d(runs, run_hashes(other, 3))
    assert shared.tolist() == [runs[1]]
    assert run_hashes(["a", "b"], 2)[0] != run_hashes(["b", "a"], 2)[0], "order counts"
    assert len(run_hashes(one, 7)) == 0 and text_run_hash([]) == 0
    assert text_run_hash(one) == run_hashes(one, 6)[0] != text_run_hash(one[:5])
