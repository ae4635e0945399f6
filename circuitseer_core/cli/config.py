"""``--config FILE``: a command's options from a YAML or TOML file; what is typed wins.

A key is an option's name, with - or _ (``probe-size``); repeatable options take a list; ``command``
may name the command that the file is for. Every stage writes such a file (runs/settings_file.py).
Values are checked by whoever checks what is typed. Relative paths are those of the working folder.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from circuitseer_core.errors import Cancelled, UserError, one_line
from circuitseer_core.json_io import is_utf8

MOST_BYTES = 2**20


def configurable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--config``."""

    def command(**values: Any) -> Any:
        values.pop("config")
        try:
            return function(**values)
        except KeyboardInterrupt:  # else Click ends with "Aborted!" and exit code 1
            raise Cancelled("cancelled") from None

    own = inspect.signature(function, eval_str=True)
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own.parameters.values()]
    option = typer.Option(
        "--config",
        help="YAML or TOML file with options of this command; options that are typed win. Every "
        "stage writes one: settings.yaml beside what it made.",
        metavar="<file>",
        is_eager=True,
        callback=_take,
    )
    config = inspect.Parameter(
        "config",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[Path | None, option],
    )
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__signature__ = own.replace(parameters=[*parameters, config])  # type: ignore[attr-defined]
    return command


def _take(ctx: typer.Context, value: Path | None) -> Path | None:
    """Make the file's entries the defaults of the options that are not typed."""
    if value is None:
        return None
    entries = read_config(value)
    meant = entries.pop("command", ctx.info_name)
    if meant != ctx.info_name:
        raise UserError(f"{value} is for the command {meant}, not for {ctx.info_name}")
    known: dict[str, Any] = {}
    for option in ctx.command.params:
        for name in (str(option.name), *(flag.lstrip("-") for flag in option.opts)):
            known[name.replace("-", "_")] = option
    defaults = {}
    for key, entry in entries.items():
        parameter = known.get(key.replace("-", "_"))
        if parameter is None or parameter.name in ("config", "help"):
            raise UserError(f"{value}: {ctx.info_name} has no option {key!r}")
        if entry is not None:
            defaults[str(parameter.name)] = _fitting(entry, parameter, f"{value}: {key}")
    ctx.default_map = defaults
    return value


def _fitting(entry: Any, parameter: Any, where: str) -> Any:
    """An entry as its option takes it. Raises UserError where it is of another kind."""
    switch = bool(getattr(parameter, "is_flag", False))
    several = bool(getattr(parameter, "multiple", False))
    items = entry if isinstance(entry, list) else [entry]
    if isinstance(entry, list) and not several:
        raise UserError(f"{where} takes one value, not a list")
    for item in items:
        if isinstance(item, dict | list) or item is None:
            raise UserError(f"{where}: a value is a text, a number, true or false")
        if isinstance(item, str) and (
            "\0" in item or not is_utf8(item)
        ):  # YAML has escapes for both
            raise UserError(f"{where}: {item!a} is no text that could be typed")
        if isinstance(item, bool) and not switch:
            raise UserError(f"{where}: {str(item).lower()} is no value for it (quote a text)")
        if switch and not isinstance(item, bool):
            raise UserError(f"{where} is true or false")
    return [str(item) for item in items] if several else entry


def read_config(path: Path) -> dict[str, Any]:
    """The entries of a file. Raises UserError where it is missing or no YAML or TOML of options."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} is too large for a settings file")
        text = path.read_text(encoding="utf-8-sig")
        document = tomllib.loads(text) if path.suffix.lower() == ".toml" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from error
    except (yaml.YAMLError, tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        kind = "TOML" if path.suffix.lower() == ".toml" else "YAML"
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is no {kind}: {why}") from error
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise UserError(f"{path} holds no options: write one a line, as in seed: 1")
    return document
