"""Every option of every command that takes a text, with paths that cannot be: one line, or nothing.

The options are read off the commands, so that a new one is tried without being named here.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel

from circuitseer_core.cli import main as cli
from circuitseer_core.detection.ablate_settings import AblateSettings
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.model import loading
from circuitseer_core.runs.survey_settings import SurveySettings
from circuitseer_core.scoring.cluster_settings import ClusterSettings
from circuitseer_core.scoring.settings import ScoreSettings
from tests.cli.test_main import DEEP, LONG, made

__all__ = ["made"]

HOSTILE = {
    "long": LONG, "deep": DEEP, "no user": "~nouser/x.jsonl", "empty": "",
    "below a file": "{tmp}/file/x", "not UTF-8": "a\udcff", "a pipe": "{tmp}/pipe",
    "a loop": "{tmp}/loop",
}  # fmt: skip
NAMES_A_PLACE = re.compile(r"\b(file|folder|address|path|map)\b", re.IGNORECASE)
"""Help of an option that takes a path in some form: the first of its meaning gets every value, the
others one in turn."""

NEEDED: dict[str, list[str]] = {
    "ablate": ["--run", "{run}", "--heads", "0.1,", "--data", "{data}", "--limit", "2"],
    "adopt": ["{run}"],
    "arms": ["--run", "{run}", "--out", "{tmp}/arms", "--rows", "3", "--arms", "uniform"],
    "calibrate": ["--run", "{run}", "--target", "length"],
    "cluster": ["--run", "{run}", "--clusters", "2"],
    "data": ["{data}"],
    "demo": [],
    "detect": ["--run", "{tmp}/new", "--model", "{model}", "--probe", "{data}",
               "--probe-size", "2"],
    "export": ["--run", "{run}", "--out", "{tmp}/out.jsonl"],
    "import-scores": ["{data}", "--run", "{run}"],
    "inspect": ["--run", "{run}", "--id", "none"],
    "pull-heads": ["me/heads", "--out", "{tmp}/map"],
    "push-heads": ["me/heads", "--run", "{run}"],
    "report": ["--run", "{run}", "--out", "{tmp}/report.html"],
    "score": ["--run", "{run}", "--data", "{data}", "--name", "again", "--heads", "1"],
    "select": ["--run", "{run}", "--name", "again", "--count", "2", "--replace"],
    "validate": ["length", "--run", "{run}"],
    "verify": ["{tmp}/none.jsonl"],
}  # fmt: skip
"""What a command needs beside the option that is tried."""
SKIPPED = {("app", "--config"), ("app", "--port"), ("demo", "--run")}
"""``app`` becomes another program, ``demo`` would work for minutes where a path can be."""


def text_options() -> Iterator[tuple[str, Any]]:
    """Every option and argument of every command that takes a text, not a number."""
    for name, command in sorted(typer.main.get_command(cli.app).commands.items()):  # type: ignore[attr-defined]
        for option in command.params:
            number = "int" in repr(option.type_descriptor.annotation)
            if not number and not getattr(option, "is_flag", False):
                yield name, option


def cases() -> Iterator[Any]:
    turn = 0
    meanings: set[str] = set()
    quick = ("data", "select")  # first, so that these get every value of what they share
    for command, option in sorted(text_options(), key=lambda pair: pair[0] not in quick):
        flag, meaning = option.opts[0], getattr(option, "help", None) or ""
        if (command, flag) in SKIPPED:
            continue
        values = list(HOSTILE)
        path = "Path" in repr(option.type_descriptor.annotation) or NAMES_A_PLACE.search(meaning)
        if not path or meaning in meanings:
            values, turn = [values[turn % len(values)]], turn + 1
        meanings.add(meaning)
        positional = not flag.startswith("-")
        for value in values:
            if (flag, value) == ("--config", "a pipe"):  # what a shell's <(…) is: read to its end
                continue
            yield pytest.param(command, None if positional else flag, value,
                               id=f"{command} {flag} {value}")  # fmt: skip


def words_of(command: str, flag: str | None, value: str) -> list[str]:
    """The command with this value for the option, and what else it needs."""
    needed = NEEDED[command]
    if flag is None:
        return [command, value, *needed[1:]]
    if flag in needed:
        at = needed.index(flag)
        needed = needed[:at] + needed[at + 2 :]
    return [command, *needed, flag, value]


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        (AblateSettings, {"data": ["a"]}),
        (ClusterSettings, {}),
        (DetectSettings, {"model": "m", "probe": ["a"]}),
        (ScoreSettings, {"data": ["a"]}),
        (SurveySettings, {"model": "m"}),
    ],
)
def test_a_length_is_understood_as_people_type_it(
    kind: type[BaseModel], needed: dict[str, Any]
) -> None:
    assert kind(**needed, max_length="2k").max_length == 2000  # type: ignore[attr-defined]


FROM_ZERO = {"--seed", "--head-feature-rows", "--layer", "--head"}


def whole_numbers() -> Iterator[Any]:
    """Every option that is a whole number, with one that it cannot be."""
    for name, command in sorted(typer.main.get_command(cli.app).commands.items()):  # type: ignore[attr-defined]
        for option in command.params:
            flag = option.opts[0]
            number = option.metavar == "<int>" or "int" in repr(option.type_descriptor.annotation)
            if number and (name, flag) not in SKIPPED:
                for value in ("-1", "0"):
                    if (flag, value) not in {(each, "0") for each in FROM_ZERO}:
                        yield pytest.param(name, flag, value, id=f"{name} {flag} {value}")


@pytest.mark.parametrize(("command", "flag", "value"), list(whole_numbers()))
def test_an_impossible_number_is_one_line_before_a_model_is_loaded(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    flag: str,
    value: str,
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was loaded")

    for name in ("AutoConfig", "AutoTokenizer", "AutoModelForCausalLM"):
        monkeypatch.setattr(getattr(loading, name), "from_pretrained", never)
    lines = refused(words_of(command, flag, value), made, tmp_path, monkeypatch, capsys)
    assert len(lines) == 1 and lines[0].startswith("error: "), lines


def ended(
    words: list[str],
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[object, list[str]]:
    """Exit code and lines on standard error of a command, its ``{places}`` filled in."""
    places = {"run": made / "run", "data": made / "a.jsonl", "model": made / "model"}
    for name, place in {**places, "tmp": tmp_path}.items():
        words = [word.replace(f"{{{name}}}", str(place)) for word in words]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["circuitseer", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    return stop.value.code, lines


def refused(
    words: list[str],
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> list[str]:
    """Lines on standard error of a command that ends with exit code 1."""
    code, lines = ended(words, made, tmp_path, monkeypatch, capsys)
    assert code == 1, lines
    return lines


@pytest.mark.parametrize(("command", "flag", "kind"), list(cases()))
def test_an_impossible_text_is_one_line(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    flag: str | None,
    kind: str,
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("text")
    words = words_of(command, flag, HOSTILE[kind])
    code, lines = ended(words, made, tmp_path, monkeypatch, capsys)
    assert code in (0, None, 1), lines
    if code == 1:
        assert len(lines) == 1 and lines[0].startswith("error: ") and len(lines[0]) < 7_000
    else:  # an id that no row has, a tag of none: nothing to refuse
        assert kind != "not UTF-8" and not any("Traceback" in line for line in lines)


def test_every_command_is_tried() -> None:
    commands = {name for name, _ in text_options()}
    assert commands - {"app"} == set(NEEDED) and len(list(cases())) > 200


@pytest.mark.parametrize("entry", ['"a\\0b"', '"\\uD800"'])
def test_a_settings_file_holds_only_what_could_be_typed(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    entry: str,
) -> None:
    (tmp_path / "s.yaml").write_text(f"exclude: [{entry}]\n")
    words = ["select", "--run", str(made / "run"), "--config", str(tmp_path / "s.yaml")]
    monkeypatch.setattr(sys, "argv", ["circuitseer", *words])
    with pytest.raises(SystemExit):
        cli.main()
    assert "is no text that could be typed" in capsys.readouterr().err
