"""Several values in one option of text."""

from __future__ import annotations

import pytest

from circuitseer_core.runs.option_lists import joined, parted


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a,b", ["a", "b"]),
        ("a,,b,", ["a", "b"]),
        ("", []),
        ('["a,b.jsonl", "c"]', ["a,b.jsonl", "c"]),
        ("[old].jsonl", ["[old].jsonl"]),
        ("[1, 2]", ["[1", " 2]"]),
        (("x", "y"), ("x", "y")),
        (3, 3),
    ],
)
def test_a_text_is_parted(text: object, values: object) -> None:
    assert parted(text) == values


@pytest.mark.parametrize(
    "values",
    [
        [],
        ["a"],
        ["a", "b"],
        ["math=a,b.jsonl"],
        ["a,b", "ü"],
        ["[old].jsonl"],
        ['["a"]'],
        ["", "a"],
    ],
)
def test_what_was_joined_is_parted_as_it_was(values: list[str]) -> None:
    assert parted(joined(values)) == values
    assert joined(["a", "b"]) == "a,b"
