"""Answers read from worked solutions."""

from __future__ import annotations

import pytest

from circuitseer_core.data.answers import extract_answer, lists_options, same_answer


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("10 - 4 = <<10-4=6>>6 apples\n#### 6", "6"),
        ("#### $1,200\nThat took 3 steps.", "1,200"),
        (r"so \boxed{\frac{x}{2} = 7}, in 2 steps", "2"),  # nested braces are not read
        (r"so \boxed{-7}, in 2 steps", "-7"),
        ("( 76.0 - 25.0 ) = 51.0", "51.0"),
        ("It is 3 or 4. The answer is 1/3.", "1/3"),
        ("half: .5", ".5"),
        ("no numbers at all", None),
        ("", None),
    ],
)
def test_numbers(text: str, want: str | None) -> None:
    assert extract_answer(text) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("60 * 540 = 32400\nCorrect answer - A", "A"),
        ("So A is out.\nANSWER :C", "C"),
        ("Answer: B)", "B"),
        ("The correct answer is D.", "D"),
        ("We choose (E) over (B)", "B"),
        ("c", None),
        ("C.", "C"),
        ("A bag holds 3. Dan has 4.", None),
    ],
)
def test_letters(text: str, want: str | None) -> None:
    assert extract_answer(text, letter=True) == want


def test_options_are_recognised() -> None:
    assert lists_options("What is their speed?\nA)32400\nB)6000")
    assert lists_options("Which?\n(A) one\n(B) two")
    assert lists_options("Which?\n\n \tA) one\n\n\u00a0B) two")
    assert not lists_options("A) alone") and not lists_options("Plan A. What is 3 + 4?")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("51", "51.0", True),
        ("1,200", "1200", True),
        ("−3", "-3", True),
        ("1/3", "0.33333", True),
        ("0", "0.0", True),
        ("0", "1", False),
        ("100", "100.1", False),
        ("A", "A", True),
        ("A", "B", False),
        ("A", "3", False),
        (None, None, False),
        ("3/0", "3/0", True),
        ("9" * 400, "9" * 400, True),  # more than a float holds
        ("9" * 400, "8" * 400, False),
        ("9" * 400, "3", False),
    ],
)
def test_same(one: str | None, other: str | None, same: bool) -> None:
    assert same_answer(one, other) is same
