"""Rendered maths escapes all else: nothing in a sample can become markup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.widgets.markdown import literal, to_markdown

J = "\u2060"


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("Let $x^2$ be", "$x^2$"),
        (r"Let \(a+b\) be", "$a+b$"),
        ("so $$\nx = 1\n$$ holds", "\n\n$$\nx = 1\n$$\n\n"),
        (r"so \[x = 1\] holds", "\n\n$$\nx = 1\n$$\n\n"),
    ],
)
def test_formulas_are_kept(text: str, formula: str) -> None:
    assert formula in to_markdown(text)


@pytest.mark.parametrize("text", ["It costs $3 and $5.", "$ 3 or 4 $", r"\$x\$", "a $x", "$$ $$"])
def test_prices_are_no_formulas(text: str) -> None:
    assert "$" not in to_markdown(text).replace(f"{J}\\$", "")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_every_mark_outside_a_formula_is_escaped(text: str) -> None:
    made = literal(text)
    for at, char in enumerate(made):
        if char in "<>[]()!#*_`~|:&$+-=":
            assert made[at - 2 : at] == f"{J}\\", (made, at)


@given(st.text(alphabet="$\\()[]ab <>!#\n", max_size=40))
def test_a_formula_cannot_leave_its_dollars(text: str) -> None:
    for line in to_markdown(text).replace(f"{J}\\$", "").split("\n"):
        assert line.count("$") % 2 == 0, text


def test_hostile_text_stays_text() -> None:
    made = to_markdown(
        "![](http://x.org/a.png) <style>b{}</style> :smile: www.x.org\n# h\n    code"
    )
    for mark in ("!", "]", "<", ":", ".", "#"):
        assert made.count(mark) == made.count(f"{J}\\{mark}") > 0, mark
    assert "\n    " not in made and "\n\n" not in made
