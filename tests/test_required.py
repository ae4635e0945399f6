"""What CI may not skip: a browser test, one of Ray, one of the embedded model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.required import VARIABLES, Required


def report(kind: str, outcome: str, when: str = "call") -> Any:
    return SimpleNamespace(
        nodeid=f"tests/test_{kind}_engine.py::test", keywords={kind: 1}, when=when,
        outcome=outcome, skipped=outcome == "skipped",
    )  # fmt: skip


@pytest.mark.parametrize("kind", VARIABLES)
def test_a_skip_fails_only_where_it_is_asked(kind: str) -> None:
    asked, free = Required({VARIABLES[kind]: "1"}), Required({})
    assert list(asked.problems()) == [f"{VARIABLES[kind]}=1: no {kind} test ran"]
    for rule in (asked, free):
        rule.note(report(kind, "passed"))
        assert not list(rule.problems())
        rule.note(report(kind, "skipped", "setup"))
    assert [line.split(":")[1] for line in asked.problems()] == [
        f" 1 {kind} tests were skipped, the first is tests/test_{kind}_engine.py"
    ]
    assert not list(free.problems())


def test_a_file_that_was_not_even_collected_counts() -> None:
    rule = Required({VARIABLES["ray"]: "1"})
    rule.note(report("ray", "passed"))
    rule.note_file(report("model", "skipped"))
    assert not list(rule.problems())
    rule.note_file(report("ray", "skipped"))
    assert len(list(rule.problems())) == 1
