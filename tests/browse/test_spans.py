"""Spans give the text back character for character, and colours say what they leave out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuitseer_core import limits
from circuitseer_core.browse.spans import (
    SPECIAL_LABEL,
    contributions,
    made_of,
    shade,
    spans_of_pieces,
    split_spans,
)
from circuitseer_core.scoring.scorers import attention_scores


def spans_of(text: str, starts: list[int], special: list[int] = [], **more):  # noqa: B006
    flags = np.zeros(len(starts), bool)
    flags[special] = True
    return split_spans(text, np.array(starts, np.int32), flags, **more)


def test_bytes_of_one_character_become_one_span() -> None:
    drawn = spans_of("aé🎉b", [0, 1, 1, 2, 2, 2, 3])
    assert drawn.labels == ("a", "é", "🎉", "b")
    assert drawn.owner.tolist() == [0, 1, 1, 2, 2, 2, 3]
    merged = drawn.merge(np.array([0.1, 0.2, 0.1, 0.1, 0.1, 0.1, 0.3]))
    assert merged == pytest.approx([0.1, 0.3, 0.3, 0.3])
    assert drawn.first_token().tolist() == [0, 1, 3, 6]


def test_special_tokens_stand_apart_from_the_text() -> None:
    drawn = spans_of("hi there", [0, 0, 2, 8], special=[0, 3])
    assert drawn.labels == (SPECIAL_LABEL, "hi", " there", SPECIAL_LABEL)
    assert drawn.special.tolist() == [True, False, False, True]


def test_a_truncated_text_has_a_tail() -> None:
    drawn = spans_of("one two three four", [0, 3, 7], truncated=True)
    assert drawn.labels == ("one", " two", " three") and drawn.tail == " four"
    assert spans_of("one two three four", [0, 3, 7]).tail == ""


def test_nothing_at_all() -> None:
    drawn = spans_of("", [])
    assert drawn.labels == () and drawn.merge(np.array([])).tolist() == []
    assert shade(np.array([]), drawn).top == 0
    assert spans_of("", [0], special=[0]).labels == (SPECIAL_LABEL,)


@given(
    text=st.text(min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 39), min_size=1, max_size=25),
    truncated=st.booleans(),
)
def test_labels_and_tail_are_the_text(text: str, cuts: list[int], truncated: bool) -> None:
    starts = sorted(min(c, len(text) - 1) for c in cuts)
    drawn = spans_of(text, starts, truncated=truncated)
    assert "".join(drawn.labels) + drawn.tail == text
    assert (np.diff(drawn.owner) >= 0).all() and drawn.owner[-1] == len(drawn.labels) - 1
    values = np.random.default_rng(0).random(len(starts))
    assert drawn.merge(values).sum() == pytest.approx(values.sum())


def test_contributions_are_shares_of_the_variance() -> None:
    profile = np.array([0.5, 0.1, 0.1, 0.3])
    received = 4 * profile
    wanted = (received - 1) ** 2 / ((received - 1) ** 2).sum()
    assert contributions(profile) == pytest.approx(wanted)
    assert contributions(np.full(8, 1 / 8)).tolist() == [0.0] * 8


def test_the_sink_is_left_out_or_clipped() -> None:
    drawn = spans_of("x" * 200, list(range(200)))
    values = np.concatenate([[60.0], np.linspace(0.1, 1, 199)])
    out = shade(values, drawn)
    assert out.left_out.tolist() == [True] + [False] * 199 and out.strength[0] == 0
    assert out.top == pytest.approx(np.quantile(values[1:], 0.99))
    assert out.left_out_share == pytest.approx(60 / values.sum())
    kept = shade(values, drawn, leave_out_sink=False)
    assert kept.clipped == 2 and kept.strength[0] == 1 and kept.strength[100] > 0.3


def test_pieces_become_spans_and_empty_ones_join_the_next() -> None:
    spans = spans_of_pieces(["a", "", "🎉", " b"])
    assert spans.labels == ("a", "🎉", " b")
    assert spans.owner.tolist() == [0, 1, 1, 2]
    assert spans_of_pieces([]).labels == ()


def test_what_a_score_is_made_of_sums_to_it() -> None:
    """Against the scorers themselves: parts times score are the terms of its formula."""
    rng = np.random.default_rng(3)
    tokens = 40
    rows = np.tril(rng.gamma(1.0, 1.0, (tokens, tokens)))
    rows /= rows.sum(axis=1, keepdims=True)
    flat = np.tril(np.ones((tokens, tokens)))
    flat /= flat.sum(axis=1, keepdims=True)
    profile, even = rows.mean(axis=0), flat.mean(axis=0)
    special = np.zeros(tokens, bool)
    special[-1] = True
    scores = {
        name: float(value[0, 0])
        for name, value in attention_scores(
            profile[None, None], even[None, None], np.array([tokens]), special[None]
        ).items()
    }
    for name in ("variance", "raw_variance", "focus", "divergence"):
        parts = made_of(name, scores[name], profile, special)
        assert parts is not None and parts.sum() == pytest.approx(1)
        left_out = [0, tokens - 1] if name in ("focus", "divergence") else []
        assert (parts[left_out] == 0).all()
    x = np.where(special, 0, profile)
    x[0] = 0
    x /= x.sum()
    term = (tokens - 2) * (x[5] - 1 / (tokens - 2)) ** 2  # n^2 Var = n * sum of squares
    focus = made_of("focus", scores["focus"], profile, special)
    assert focus is not None and focus[5] * scores["focus"] == pytest.approx(term)
    assert made_of("divergence", 2 * scores["divergence"], profile, special) is None
    assert made_of("length", 40.0, profile, special) is None


def test_nothing_is_coloured_that_means_nothing() -> None:
    """A sink of nearly everything: the rest differ among themselves by next to nothing."""
    drawn = spans_of("x" * 100, list(range(100)))
    values = np.concatenate([[0.9999], np.linspace(0.1, 1, 99) * 1e-6])
    out = shade(values, drawn)
    assert out.faint == 99 and not out.strength.any()
    even = np.full(100, 0.01)
    even[7] = 0.01 * limits.COLOURED * 0.9
    seen = shade(even, drawn)
    assert seen.faint == 1 and seen.strength[7] == 0 and seen.strength[8] == 1
