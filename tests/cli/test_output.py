"""What a command says at its end: words, JSON alone on standard output, or nothing."""

from __future__ import annotations

import json

import pytest

from circuitseer_core.cli.output import Outcome, telling
from circuitseer_core.runs.progress import print_above_bars

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


HOSTILE = "a \x1b[31mred\x9b\u2028 \udcff\r\nb"


def test_nothing_reaches_the_terminal_that_it_would_obey(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Column names, sources and reasons come from data."""
    with telling(quiet=False, as_json=False) as tell:
        tell(lambda: Outcome({}, [HOSTILE]))
    print_above_bars(HOSTILE)
    printed = capfd.readouterr()
    assert printed.out == "a  [31mred   \nb\n"
    assert printed.err == "a  [31mred   b\n"


def test_json_has_it_as_escapes(capfd: pytest.CaptureFixture[str]) -> None:
    with telling(quiet=False, as_json=True) as tell:
        tell(lambda: Outcome({HOSTILE: 1, "text": "\u00e4\ud83d\ude00"}, []))
    printed = capfd.readouterr().out
    assert "\\u001b[31mred\\u009b\\u2028" in printed and "\u00e4" in printed
    assert next(iter(json.loads(printed))).startswith("a \x1b[31mred\x9b\u2028")
