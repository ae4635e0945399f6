"""Arguments of wrong types are one line that names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circuitseer_core.arguments import a_count, a_path, a_text, described, several_texts
from circuitseer_core.errors import UserError


def test_what_fits_passes() -> None:
    assert a_path("out", "a/b") == a_path("out", Path("a/b")) == Path("a/b")
    assert a_text("id", "x") == "x"
    assert a_count("limit", np.int64(3)) == 3
    assert several_texts("data", "a") == ["a"]
    assert several_texts("data", Path("a")) == ["a"]
    assert several_texts("data", (x for x in ("a", Path("b")))) == ["a", "b"]


@pytest.mark.parametrize("value", [None, 5, "", b"a", ["a"]])
def test_no_path(value: Any) -> None:
    with pytest.raises(UserError, match="^out: give a path, not "):
        a_path("out", value)


@pytest.mark.parametrize("value", [None, 5, "", Path("a")])
def test_no_text(value: Any) -> None:
    with pytest.raises(UserError, match="^id: give a text, not "):
        a_text("id", value)


@pytest.mark.parametrize("value", [None, 0, -1, 1.5, "3", True])
def test_no_count(value: Any) -> None:
    with pytest.raises(UserError, match="^limit: give a whole number of 1 or more, not "):
        a_count("limit", value)


@pytest.mark.parametrize("value", [None, 5, [5], ["a", None]])
def test_no_texts(value: Any) -> None:
    with pytest.raises(UserError, match="^data: give a text or several, not "):
        several_texts("data", value)


def test_a_long_value_is_cut() -> None:
    assert described("x" * 900).endswith("...") and len(described("x" * 900)) < 80
