"""Rendered maths escapes all else: nothing in a sample can become markup."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ui.widgets.markdown import inline, literal, to_markdown

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
    assert "$" not in to_markdown(text).replace("\\$", "")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_every_mark_outside_a_formula_is_escaped(text: str) -> None:
    made = literal(text)
    for at, char in enumerate(made):
        if char in "<>[]!#*`~|:&$+=":
            assert made[at - 1] == "\\", (made, at)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_nothing_is_lost(text: str) -> None:
    made = literal(text).replace(J, "").replace("  \n", "\n").replace("\u00a0", " ")
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    shown = re.sub(r"\\([^\w\s]|_)", r"\1", made)
    kept = re.sub("[\u202a-\u202e\u2066-\u2069]", "\ufffd", plain)
    assert "".join(shown.split()) == "".join(kept.replace(J, "").split())


@pytest.mark.parametrize("name", ["my-run_1.2", "gsm8k/12", "SmolLM2-135M-Instruct", "2024-01-01"])
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    assert literal(name) == inline(name) == name


@pytest.mark.parametrize(
    "text", ["a->b", "<-", "--", "==", ":smile:", ":material/home:", "http://x", "www.x", "a@b.c"]
)
def test_what_acts_after_markdown_is_broken_by_a_joiner(text: str) -> None:
    assert J in literal(text)


def test_what_cannot_be_sent_is_replaced() -> None:
    literal("a\ud800\u202eb").encode("utf-8")
    assert literal("a\ud800\u202eb") == "a\ufffd\ufffdb"
    assert "\n" not in inline("a\n# b")


@example("$\\$")
@example("\\(a\\\\)")
@example("$$a\\$$ b")
@given(st.text(alphabet="$\\()[]ab <>!#\n", max_size=40))
def test_a_formula_cannot_leave_its_dollars(text: str) -> None:
    for line in to_markdown(text).replace("\\$", "").split("\n"):
        assert line.count("$") % 2 == 0, text


def test_hostile_text_stays_text() -> None:
    made = to_markdown(
        "![](http://x.org/a.png) <style>b{}</style> :smile: www.x.org\n# h\n    code"
    )
    for mark in ("!", "]", "<", ":", "#"):
        assert made.count(mark) == made.count(f"\\{mark}") > 0, mark
    assert "\n    " not in made and "\n\n" not in made


@pytest.mark.parametrize("marks", [(r"\[", r"\]"), (r"\(", r"\)"), ("$$", "$$")])
def test_a_formula_has_an_end_in_sight(marks: tuple[str, str]) -> None:
    """Else every mark that opens one would be looked after to the end of a long text."""
    longest = "x" * 2000
    assert longest in to_markdown(longest.join(marks)) and "\\" not in to_markdown("$x$")
    text = f"{longest}x".join(marks)
    assert to_markdown(text) == literal(text)
