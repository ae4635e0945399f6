"""Commands whose options are the fields of a settings class: one definition, one default."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic import BaseModel

from circuitseer_core.runs.commands import checked, flag_of, options

Settings = TypeVar("Settings", bound=BaseModel)


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
            lists = {name for name in asked if _is_list(kind, name)}
            asked = {name: value or () if name in lists else value for name, value in asked.items()}
            function(settings=checked(kind, **asked), **values)

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command

    return decorate


def _is_list(kind: type[BaseModel], name: str) -> bool:
    return get_origin(kind.model_fields[name].annotation) in (list, tuple)


def _parameter(name: str, kind: type[BaseModel]) -> inspect.Parameter:
    """One option as Typer reads it."""
    info = kind.model_fields[name]
    annotation: Any = info.annotation
    default = ... if info.is_required() else info.get_default(call_default_factory=True)
    if _is_list(kind, name):
        annotation = list[str] if info.is_required() else list[str] | None
        default = default if info.is_required() else None
    metavar = None
    if get_origin(annotation) is Literal:  # a wrong word is one line of ours, not a usage box
        metavar = f"<{'|'.join(get_args(annotation))}>"
        annotation = str
    flag = flag_of(name, info)
    flags = [f"{flag}/{flag.replace('--', '--no-', 1)}"] if annotation is bool else [flag]
    shown = typer.Option(
        *flags, help=info.description, metavar=metavar, show_default=default not in (..., None)
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is ... else default,
        annotation=Annotated[annotation, shown],
    )


def repeatable(kind: type[BaseModel]) -> set[str]:
    """Flags of the options that may be given several times, or several values at once."""
    return {flag_of(name, info) for name, info in options(kind).items() if _is_list(kind, name)}
