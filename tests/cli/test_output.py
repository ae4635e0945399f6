"""What a command says at its end: words, JSON alone on standard output, or nothing."""

from __future__ import annotations

import json

import pytest

from circuitseer_core.cli.output import Outcome, telling

OUTCOME = Outcome({"rows": 3, "share": float("nan")}, ["three rows"])


def test_lines_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    with telling(quiet=False, as_json=False) as tell:
        tell(lambda: OUTCOME)
    assert capsys.readouterr().out == "three rows\n"


@pytest.mark.parametrize("quiet", [False, True])
def test_json_alone_on_stdout_whatever_else_is_printed(
    quiet: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with telling(quiet, as_json=True) as tell:
        print("a library says hello")
        tell(lambda: OUTCOME)
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"rows": 3, "share": None}
    assert "hello" in printed.err


def test_quiet_makes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def made() -> Outcome:
        raise AssertionError("nobody asked")

    with telling(quiet=True, as_json=False) as tell:
        tell(made)
    assert capsys.readouterr() == ("", "")
