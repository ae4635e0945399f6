"""Settings as command lines: what is started is what a person would type, and every file says it.

A settings class is the only definition of its options: name, type, default, bounds, meaning. The
command line reads them off the class (cli/from_settings.py), the app's forms too
(ui/widgets/settings_field.py), and :func:`arguments` writes settings back as words.
"""

from __future__ import annotations

import difflib
import math
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_origin

from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo

from circuitseer_core.data.fields import columns_last
from circuitseer_core.errors import UserError
from circuitseer_core.installation import program

Settings = TypeVar("Settings", bound=BaseModel)
FOLDER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
FolderName = Annotated[str, Field(pattern=FOLDER_NAME, max_length=100)]
"""What a scoring, a calibration or a selection may be called: a folder has the name."""


@dataclass(frozen=True)
class Option:
    """Metadata of a settings field: its flag, where the name does not say it.

    ``internal``: no option of the command line, for use from Python alone.
    """

    flag: str | None = None
    internal: bool = False


def options(kind: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields that are options of the command line, by name, those of columns last."""
    fields = columns_last(kind.model_fields)
    return {name: info for name, info in fields.items() if not _option(info).internal}


def flag_of(name: str, info: FieldInfo) -> str:
    """How a field is called on the command line."""
    return _option(info).flag or "--" + name.replace("_", "-")


def checked(kind: type[Settings], **values: Any) -> Settings:
    """Settings from loose values. Raises UserError, one line that names the option."""
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        text = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise UserError(text) from error
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise UserError(_no_option(name, kind)) from error
        info = kind.model_fields.get(name)
        raise UserError(f"{flag_of(name, info) if info else name}: {text}") from error


def _no_option(name: str, kind: type[BaseModel]) -> str:
    """That there is no such option, and which was perhaps meant."""
    near = difflib.get_close_matches(name, kind.model_fields, n=1)
    return f"there is no option {name!r}" + (f": did you mean {near[0]!r}?" if near else "")


def arguments(settings: BaseModel, always: Collection[str] = ()) -> list[str]:
    """The words that make these settings: every option that is not at its default.

    ``always``: options that are spelled out even there.
    """
    words: list[str] = []
    for name, info in options(type(settings)).items():
        value = getattr(settings, name)
        default = info.get_default(call_default_factory=True)
        if value is None or (value == default and name not in always):
            continue
        flag = flag_of(name, info)
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
            continue
        for item in value if isinstance(value, list | tuple) else (value,):
            words += [flag, f"{item:.12g}" if isinstance(item, float) else str(item)]
    return words


def read_back(kind: type[Settings], words: Sequence[str]) -> Settings:
    """The settings that words make, as :func:`arguments` writes them.

    Raises UserError for what is no option of the class, and as :func:`checked`.
    """
    names = {flag_of(name, info): name for name, info in options(kind).items()}
    values: dict[str, Any] = {}
    rest = list(words)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        on = not flag.startswith("--no-") or flag in names
        name = names.get(flag if on else flag.replace("--no-", "--", 1))
        annotation = kind.model_fields[name].annotation if name else None
        if name is None or (annotation is bool and equals) or (annotation is not bool and not on):
            raise UserError(f"{flag!r} is no option of the stage")
        if annotation is bool:
            values[name] = on
            continue
        if not equals:
            if not rest:
                raise UserError(f"{flag} needs a value")
            value = rest.pop(0)
        if get_origin(annotation) in (list, tuple):
            value = [*values.get(name, []), value]  # type: ignore[assignment]
        values[name] = value
    return checked(kind, **values)


def step(
    stage: str, run: str | Path, settings: BaseModel, always: Collection[str] = ()
) -> list[str]:
    """A stage's command, after the program's name."""
    return [stage, "--run", str(run), *arguments(settings, always)]


def as_python(
    verb: str,
    run: str | Path,
    settings: BaseModel,
    *,
    renamed: Mapping[str, str] | None = None,
    always: Collection[str] = (),
) -> str:
    """The same as a call of the library: every option that is not at its default.

    ``renamed``: options that the verb calls otherwise; ``always``: those spelled out even there.
    """
    arguments = []
    for name, info in options(type(settings)).items():
        value = getattr(settings, name)
        default = info.get_default(call_default_factory=True)
        if value is None or (value == default and name not in always):
            continue
        arguments.append(f"{(renamed or {}).get(name, name)}={_literal(value)}")
    return f"circuitseer_core.{verb}({', '.join([repr(str(run)), *arguments])})"


def _literal(value: Any) -> str:
    """A value as Python reads it back; lists for tuples, and infinity by name."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, float) and math.isinf(value):
        return 'float("inf")'
    return repr(value)


def as_typed(words: Sequence[str]) -> str:
    """A command as one would type it in a shell."""
    return shlex.join([*program(), *words])


def _option(info: FieldInfo) -> Option:
    return next((item for item in info.metadata if isinstance(item, Option)), Option())
