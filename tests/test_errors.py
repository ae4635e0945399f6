"""What a message tells people to type exists: options of the command that it names, or that runs.

Messages are read off the code. Options in a ``hint`` are those of whatever runs; where that lacks
one, the hint is left out (errors.py).
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from circuitseer_core.cli import main as cli
from circuitseer_core.errors import LaterFormatError
from tests.support.synthetic import Shape, make_run

CORE = Path(cli.__file__).parent.parent
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
OF_ONE_COMMAND = {
    "arms": ["arms"], "calibration": ["calibrate"], "detection/settings": ["detect"],
    "detection/resume": ["detect"], "export": ["export"], "export/verify": ["verify"],
    "experiments": ["validate"], "scoring": ["score"], "scoring/inspection": ["inspect"],
    "scoring/import_columns": ["import-scores"], "selection": ["select"],
    "selection/length_target": ["select"], "sharing/pull": ["pull-heads"],
    "runs/survey_settings": ["data"], "runs/folder": ["detect", "demo", "pull-heads"],
    "runs/machine": ["detect", "score"], "detection/heads": ["score"],
    "runs/clusters": ["cluster"],
}  # fmt: skip
"""Modules, or packages, whose messages these commands alone show, so that no hint is needed."""
APART = {"runs/job_steps"}
"""Says what a job may not hold."""


def flags() -> dict[str, set[str]]:
    """The options of every command."""
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    return {
        name: {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
        for name, command in commands.items()
    }


def literal(node: ast.expr) -> str:
    """A text of the code, with ``…`` for what is put into it."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) for part in node.values)
    return "…"


def messages() -> Iterator[tuple[str, str, str]]:
    """(module, message, hint) of everything that is raised for a person."""
    for path in sorted(CORE.rglob("*.py")):
        module = path.relative_to(CORE).with_suffix("").as_posix()
        if module.startswith("cli/") or module in APART:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = (
                node.func.id
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
                else ""
            )
            if isinstance(node, ast.Call) and name in ("UserError", "ValueError") and node.args:
                hint = "".join(literal(k.value) for k in node.keywords if k.arg == "hint")
                yield module, literal(node.args[0]), hint


def strays() -> Iterator[str]:
    """Options that a message names and nobody would know whose they are."""
    known = flags()
    everywhere = set().union(*known.values())
    named = re.compile(rf"(?<![\w-])({'|'.join(known)})(?![\w-])")
    for module, message, hint in messages():
        owners = OF_ONE_COMMAND.get(module, OF_ONE_COMMAND.get(module.split("/")[0], []))
        mentioned = set(named.findall(message))
        for flag in FLAG.findall(message):
            fine = any(flag in known[name] for name in mentioned)
            fine = fine or (bool(owners) and all(flag in known[name] for name in owners))
            if not fine:
                yield f"{module}: {flag} in {message!r}"
        for flag in set(FLAG.findall(hint)) - everywhere:
            yield f"{module}: {flag} in the hint {hint!r}"


def test_every_option_that_a_message_names_is_one_of_its_command() -> None:
    assert len(list(messages())) > 300
    assert not list(strays())


@pytest.mark.parametrize(
    ("hint", "typed", "shown"),
    [
        (": lower --max-length", {"max-length": "--max-length "}, ": lower --max-length"),
        (": lower --max-length", {"dtype": "--dtype "}, ""),
        (" (--prompt-field 'a b'?)", {"prompt-field": "--set prompt_field="},
         " (--set prompt_field='a b'?)"),
        (" (name it with --prompt-field)", {"prompt-field": "--set prompt_field="},
         " (name it with --set prompt_field)"),
        ("; --a 1 or --b 2", {"a": "--a "}, ""),
        ("", {}, ""),
    ],
)  # fmt: skip
def test_a_hint_is_worded_for_what_runs(hint: str, typed: dict[str, str], shown: str) -> None:
    error = LaterFormatError("no", hint=hint)
    assert str(error) == "no" + hint
    again = error.for_options(typed)
    assert str(again) == "no" + shown and type(again) is LaterFormatError


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data", "{data}"], r"found: Frage, sum \(name it with --prompt-field\)$"),
        (["select", "--run", "{run}", "--name", "n", "--decontaminate", "{data}"],
         "found: Frage, sum$"),
        (["validate", "heads", "--run", "{run}", "--set", "data={data}"],
         r"found: Frage, sum \(name it with --set prompt_field\)$"),
        (["validate", "domains", "--run", "{run}", "--set", "data={data},{data}",
          "--set", "prompt-field=frag"],
         r"for the prompt; found: Frage, sum \(--set prompt_field=Frage\?\)$"),
    ],
)  # fmt: skip
def test_a_command_without_the_option_does_not_name_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    words: list[str], message: str,
) -> None:  # fmt: skip
    run = make_run(tmp_path / "run", Shape(rows=30))
    data = tmp_path / "d.csv"
    data.write_text("Frage,sum\n1+1?,2\n")
    asked = [word.format(data=data, run=run) for word in words]
    monkeypatch.setattr(sys, "argv", ["circuitseer", *asked])
    with pytest.raises(SystemExit):
        cli.main()
    assert re.search(message, capsys.readouterr().err.strip())
