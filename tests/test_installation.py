"""How commands are shown where the package is installed, and where it is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from circuitseer_core.installation import program
from circuitseer_core.runs.commands import as_typed


def test_commands_are_shown_as_they_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert as_typed(["verify", "my file"]) == "python -m circuitseer_core verify 'my file'"
    (tmp_path / "circuitseer").write_text("")
    assert program() == ("circuitseer",)
    assert as_typed(["app"]) == "circuitseer app"
