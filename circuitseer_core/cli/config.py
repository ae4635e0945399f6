"""``--config FILE``: a command's options from a YAML or TOML file; what is typed wins.

A key is an option's name, with - or _ (``probe-size``); repeatable options take a list; ``command``
may name the command that the file is for. Every stage writes such a file (runs/settings_file.py).
Values are checked by whoever checks what is typed. Relative paths are those of the working folder.
Of options that exclude each other a typed one wins too: those of the file give way to it.
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
_MOST_BITS, _MOST_DIGITS = 512, 200
"""Of a whole number, as it is and as it is written."""

_BUDGETS = ("fraction", "count", "tokens", "rows", "share", "match_lengths")
_EXCLUSIVE = (
    *[(typed, [other for other in _BUDGETS if other != typed]) for typed in _BUDGETS],
    ("match_lengths", ["stratify", "stratify_by", "max_per_source"]),
    ("temperature", ["target_ess"]),
    ("target_ess", ["temperature"]),
    ("device", ["devices"]),
    ("devices", ["device"]),
    ("head_features", ["calibration"]),
    ("calibration", ["head_features"]),
    ("stratify=none", ["stratify_by"]),
    ("ablation=uniform", ["epsilon"]),
    ("ablation=zero", ["epsilon"]),
    ("ablation=mean", ["epsilon"]),
)
"""What is typed (an option, or one with this value), and the file's options that cannot be beside
it."""


def configurable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--config``."""

    def command(**values: Any) -> Any:
        context = values.pop("config")  # None where no command line was parsed
        if context is not None:
            _give_way(context, values)
        try:
            return function(**values)
        except UserError as error:
            raise error.for_options(_typed(context) if context else {}) from error
        except KeyboardInterrupt:  # else Click ends with "Aborted!" and exit code 1
            raise Cancelled("cancelled") from None

    own = inspect.signature(function, eval_str=True)
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own.parameters.values()]
    option = typer.Option(
        "--config",
        help="YAML or TOML file with options of this command; options that are typed win. Every "
        "stage that makes something in a run writes one: settings.yaml beside it.",
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


def _typed(ctx: typer.Context) -> dict[str, str]:
    """The command's options by name, as they are typed before a value."""
    flags = [flag for option in ctx.command.params for flag in option.opts]
    return {flag.lstrip("-"): f"{flag} " for flag in flags}


def _give_way(ctx: typer.Context, values: dict[str, Any]) -> None:
    """Drop the file's entries that exclude an option that is typed."""

    def comes_from(name: str, place: str) -> bool:
        source = ctx.get_parameter_source(name)
        return source is not None and source.name == place

    for option, others in _EXCLUSIVE:
        name, _, value = option.partition("=")
        if comes_from(name, "COMMANDLINE") and value in ("", values.get(name)):
            values.update({other: None for other in others if comes_from(other, "DEFAULT_MAP")})


def _take(ctx: typer.Context, value: Path | None) -> typer.Context:
    """Make the file's entries the defaults of the options that are not typed."""
    if value is None:
        return ctx
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
    return ctx


def _fitting(entry: Any, parameter: Any, where: str) -> Any:
    """An entry as its option takes it. Raises UserError where it is of another kind."""
    switch = bool(getattr(parameter, "is_flag", False))
    several = bool(getattr(parameter, "multiple", False)) or parameter.nargs == -1
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
        if isinstance(item, int) and item.bit_length() > _MOST_BITS:
            raise UserError(f"{where}: this number is too large (quote a text)")
        if isinstance(item, bool) and not switch:
            raise UserError(f"{where}: {str(item).lower()} is no value for it (quote a text)")
        if switch and not isinstance(item, bool):
            raise UserError(f"{where} is true or false")
    return [str(item) for item in items] if several else entry


class _Yaml(yaml.SafeLoader):
    """YAML's whole numbers may be written in base 60, which takes minutes for a long one."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> Any:
        """A whole number. Raises ValueError for a very long one."""
        if len(node.value) > _MOST_DIGITS:
            raise ValueError(f"a number of {len(node.value):,} characters")
        return super().construct_yaml_int(node)


_Yaml.add_constructor("tag:yaml.org,2002:int", _Yaml.construct_yaml_int)


def read_config(path: Path) -> dict[str, Any]:
    """The entries of a file. Raises UserError where it is missing or no YAML or TOML of options."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} is too large for a settings file")
        text = path.read_text(encoding="utf-8-sig")
        is_toml = path.suffix.lower() == ".toml"
        document = tomllib.loads(text) if is_toml else yaml.load(text, _Yaml)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from error
    except (yaml.YAMLError, tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        kind = "TOML" if path.suffix.lower() == ".toml" else "YAML"
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is no {kind}: {why}") from error
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise UserError(f"{path} holds no options: write one a line, as in seed: 1")
    return document
