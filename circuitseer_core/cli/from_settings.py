"""Commands whose options are the fields of a settings class: one definition, one default.

What is typed reaches the class as text, so that every value is checked, and every complaint worded,
in one place. An option that is not given stays out of it: the default is the class's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from circuitseer_core.runs.commands import checked, flag_of, options

Settings = TypeVar("Settings", bound=BaseModel)
_METAVARS = {int: "<int>", float: "<number>"}


def takes(kind: type[Settings]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of ``kind``; it gets them as its argument ``settings``.

    The function's other parameters stay options of their own, before and after the class's.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(function, eval_str=True).parameters
        parameters = []
        for name, parameter in own.items():
            if name == "settings":
                parameters += [_parameter(field, kind) for field in options(kind)]
            else:
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

        def command(**values: Any) -> None:
            asked = {name: values.pop(name) for name in options(kind)}
            set_options = {
                name: value for name, value in asked.items() if value not in (None, [], ())
            }
            function(settings=checked(kind, **set_options), **values)

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command

    return decorate


def _is_list(kind: type[BaseModel], name: str) -> bool:
    return get_origin(kind.model_fields[name].annotation) in (list, tuple)


def _parameter(name: str, kind: type[BaseModel]) -> inspect.Parameter:
    """One option as Typer reads it: text, a switch, or a list of texts."""
    info = kind.model_fields[name]
    flag = flag_of(name, info)
    switch = info.annotation is bool
    annotation: Any = bool if switch else list[str] if _is_list(kind, name) else str
    if not info.is_required():
        annotation = annotation | None
    off = flag.replace("--", "--no-", 1)
    shown = typer.Option(
        *([f"{flag}/{off}"] if switch else [flag]),
        help=_help(info, flag, off),
        metavar=None if switch else _metavar(info.annotation),
        show_default=False,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if info.is_required() else None,
        annotation=Annotated[annotation, shown],
    )


def _metavar(annotation: Any) -> str:
    """What stands for the value in the help: ``<int>``, ``<exact|racing>``, ``<text>``."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(kind for kind in get_args(annotation) if kind is not type(None))
    if get_origin(annotation) in (list, tuple):
        return _metavar(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return f"<{'|'.join(get_args(annotation))}>"
    return _METAVARS.get(annotation, "<text>")


def _help(info: FieldInfo, flag: str, off: str) -> str:
    """The description, and the default where there is one to show."""
    value = info.get_default(call_default_factory=True)
    if isinstance(value, bool):
        shown = (flag if value else off).removeprefix("--")
    elif isinstance(value, str | int | float):
        shown = f"{value:g}" if isinstance(value, float) else str(value)
    else:
        return info.description or ""
    return f"{info.description}  [default: {shown}]"


def repeatable(kind: type[BaseModel]) -> set[str]:
    """Flags of the options that may be given several times, or several values at once."""
    return {flag_of(name, info) for name, info in options(kind).items() if _is_list(kind, name)}
