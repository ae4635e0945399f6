"""Which column of a row is the prompt, which the response: every field layout that is recognised.

Names are compared without regard to case. In order of preference:

- prompt: question, problem, prompt, instruction (+ input or context), query, then chat turns
  (messages or conversations), then a lone input;
- response: solution, response, output, completion, generation, answer. Worked solutions come
  before ``answer``, because datasets that have both keep only the final result in ``answer``.

Chat turns are ``{"role", "content"}`` or ShareGPT's ``{"from", "value"}``. The response is the
last assistant turn, the prompt is everything before it: the bare text while there is one user
turn (a system text stands above it), with "User:", "Assistant:" in front once there are several.

A name that is given may lead inside: ``data.question`` is ``question`` of the object ``data``, and
a number an element of a list, unless there is a column of that very name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, Field

from circuitseer_core.json_io import is_utf8

PROMPT_NAMES = ("question", "problem", "prompt", "instruction", "query")
RESPONSE_NAMES = ("solution", "response", "output", "completion", "generation", "answer")
EXTRA_NAMES = ("input", "context")
TURN_NAMES = ("messages", "conversations", "conversation")
ID_NAMES = ("id", "_id", "uid", "uuid", "unique_id", "idx", "identifier")
ROLES = {
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant",
    "chatgpt": "assistant",
    "system": "system", "developer": "system",
    "tool": "tool", "function": "tool", "observation": "tool",
}  # fmt: skip


Value = TypeVar("Value")

FIRST = "first"
ITEMS = "first, all (joined), or a number: 0 the first, -1 the last"
"""What may be asked of a response that is a list of texts, in words."""


def response_item(value: str) -> str:
    """``value``, which of a list's texts is the response. Raises ValueError where it is none."""
    if not re.fullmatch(r"first|all|-?\d{1,6}", value):
        raise ValueError(f"give {ITEMS}")
    return value


class RowProblem(Exception):
    """One row cannot be used; the message is the reason that stands in its reject."""


class FieldOptions(BaseModel):
    """Settings of whatever reads DATA, as far as they name its columns: a base of the others."""

    prompt_field: str | None = Field(
        None, description="Column of the prompt; data.question leads inside an object."
    )
    response_field: str | None = Field(None, description="Column of the response.")
    response_items: Annotated[str, AfterValidator(response_item)] = Field(
        FIRST, description=f"Of a response that is a list: {ITEMS}."
    )
    source_field: str | None = Field(None, description="Column of the source.")
    id_field: str | None = Field(None, description="Column of the id.")


def columns_last(options: Mapping[str, Value]) -> dict[str, Value]:
    """Options by name, those of :class:`FieldOptions` behind a class's own: a base's come first."""
    own = {name: value for name, value in options.items() if name not in FieldOptions.model_fields}
    return own | {name: value for name, value in options.items() if name not in own}


@dataclass(frozen=True, slots=True)
class Fields:
    """Field names given by the user; None means: recognise."""

    prompt: str | None = None
    response: str | None = None
    source: str | None = None
    id: str | None = None
    response_items: str = FIRST
    """Of a response that is a list of texts: ``first``, ``all`` (with a blank line between them),
    or the number of one, from 0; negative numbers count from the end."""

    @classmethod
    def of(cls, options: FieldOptions) -> Fields:
        """The names that a stage's settings give."""
        return cls(
            prompt=options.prompt_field,
            response=options.response_field,
            source=options.source_field,
            id=options.id_field,
            response_items=options.response_items,
        )

    def columns(self) -> dict[str, str]:
        """The names that were given, by the option that gives them."""
        pairs = {"prompt": self.prompt, "response": self.response}
        pairs |= {"source": self.source, "id": self.id}
        return {option: name for option, name in pairs.items() if name is not None}

    def named(self) -> dict[str, str]:
        """All that differs from what is taken by itself, as it stands in a run's files."""
        other = {} if self.response_items == FIRST else {"response_items": self.response_items}
        return self.columns() | other


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that play a part, for one set of column names."""

    prompt: str | None
    extra: str | None
    turns: str | None
    responses: tuple[str, ...]
    source: str | None
    id: str | None
    response_items: str = FIRST

    def describe(self) -> str:
        """For a person: ``instruction + input → prompt, output → response``."""
        if self.prompt is None:
            return f"{self.turns} → prompt and response" if self.turns else "no prompt field"
        left = f"{self.prompt} + {self.extra}" if self.extra else self.prompt
        responses = " or ".join(self.responses) or self.turns
        return f"{left} → prompt" + (f", {responses} → response" if responses else ", no response")


def recognise(columns: Sequence[str], fields: Fields) -> Layout | None:
    """Find the layout of a row with these columns; None where no column can be the prompt."""
    lower = {name.lower(): name for name in reversed(columns)}
    known = set(columns)
    for name in fields.columns().values():
        if name not in known and _top(name) in known:
            known.add(name)

    def first(names: Sequence[str]) -> str | None:
        return next((lower[name] for name in names if name in lower), None)

    def asked_or_first(name: str | None, names: Sequence[str]) -> str | None:
        return name if name in known else None if name else first(names)

    prompt = asked_or_first(fields.prompt, PROMPT_NAMES)
    if fields.response:
        responses: tuple[str, ...] = (fields.response,) if fields.response in known else ()
    else:
        taken = (lower[name] for name in RESPONSE_NAMES if name in lower)
        responses = tuple(name for name in taken if name != prompt)
    turns = None if fields.prompt and fields.response else first(TURN_NAMES)
    if prompt and turns and not responses and not fields.prompt:
        prompt = None  # a chat that repeats its first turn as a column: take the whole chat
    if prompt is None and turns is None and not fields.prompt:
        prompt = first(("input",))
    if prompt is None and (turns is None or fields.prompt):
        return None
    follows = prompt is not None and prompt.lower() == "instruction"
    return Layout(
        prompt=prompt,
        extra=first(EXTRA_NAMES) if follows else None,
        turns=turns,
        responses=responses,
        source=asked_or_first(fields.source, ("source",)),
        id=asked_or_first(fields.id, ID_NAMES),
        response_items=fields.response_items,
    )


def recognise_as(columns: Sequence[str], known: Fields) -> Layout | None:
    """The layout by the names that a run was told of where the columns have them, else as ever."""
    layout = recognise(columns, known) if known.prompt else None
    return layout or recognise(columns, Fields(response_items=known.response_items))


def _top(name: str) -> str:
    """The column in which a name that leads inside begins."""
    return name.partition(".")[0]


def value_of(row: Mapping[str, Any], name: str | None) -> Any:
    """What stands under a name, which may lead inside; None where there is nothing."""
    if name is None or name in row or "." not in name:
        return row.get(name or "")
    value: Any = row
    for part in name.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _chosen(items: list[Any], name: str, which: str) -> str | None:
    """The text of a list-valued response that is meant; None where there is none."""
    texts = [text.strip() and text for item in items if (text := _text(item, f"an item of {name}"))]
    if which == "all":
        return "\n\n".join(text for text in texts if text)
    if which == FIRST:
        return next((text for text in texts if text), None)
    at = int(which)
    if not -len(items) <= at < len(items):
        return None
    return _text(items[at], f"an item of {name}")


def prompt_and_response(row: Mapping[str, Any], layout: Layout) -> tuple[str, str | None]:
    """Read the two texts of a row. Raises RowProblem with the reason where there is no prompt."""
    if layout.prompt is None:
        prompt, response = read_turns(value_of(row, layout.turns), layout.turns or "messages")
    else:
        value = value_of(row, layout.prompt)
        if isinstance(value, list):
            prompt, response = read_turns(value, layout.prompt)
        else:
            prompt, response = _text(value, layout.prompt, numbers=False) or "", None
        extra = _text(row.get(layout.extra), layout.extra) if layout.extra else None
        if extra and extra.strip():
            prompt = f"{prompt}\n{extra}"
    if not prompt.strip():
        raise RowProblem("empty prompt")
    for name in layout.responses:
        value = value_of(row, name)
        if not isinstance(value, list):
            text = _text(value, name)
        elif value and all(isinstance(turn, Mapping) for turn in value):
            text = read_turns(value, name)[1]
        else:
            text = _chosen(value, name, layout.response_items)
        if text and text.strip():
            response = text
            break
    if response is not None and not response.strip():
        response = None
    for text in (prompt, response or ""):
        if not is_utf8(text):
            raise RowProblem("text has half of a surrogate pair (a broken \\u escape)")
    return prompt, response


def read_turns(turns: Any, name: str) -> tuple[str, str | None]:
    """Split a list of chat turns into (prompt, response); see the head of this module.

    A chat without an assistant turn is all prompt. What follows the last assistant turn is left
    out. Raises RowProblem where ``turns`` is no such list.
    """
    if turns is None:
        raise RowProblem(f"{name} is missing")
    if not isinstance(turns, list):
        raise RowProblem(f"{name} is not a list of turns")
    spoken = [_turn(turn, name) for turn in turns]
    last = max((i for i, (role, _) in enumerate(spoken) if role == "assistant"), default=None)
    before = [(role, text) for role, text in spoken[:last] if text.strip()]
    response = None if last is None else spoken[last][1]
    if not any(role == "user" for role, _ in before):
        if last is not None and not before:
            return "", response
        raise RowProblem(f"{name} has no user turn before the last answer")
    if sum(role == "user" for role, _ in before) == 1 and all(r != "assistant" for r, _ in before):
        return "\n\n".join(text for _, text in before), response
    return "\n\n".join(f"{role.capitalize()}: {text}" for role, text in before), response


def _turn(turn: Any, name: str) -> tuple[str, str]:
    """One turn as (role, text)."""
    if not isinstance(turn, Mapping):
        raise RowProblem(f"a turn of {name} is not an object")
    role = turn.get("role", turn.get("from"))
    if not isinstance(role, str) or role.lower() not in ROLES:
        raise RowProblem(f"a turn of {name} has the unknown role {role!r}"[:120])
    content = turn.get("content", turn.get("value"))
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) < len(parts):
            raise RowProblem(f"a turn of {name} holds something other than text")
        content = "".join(texts)
    return ROLES[role.lower()], _text(content, name) or ""


def _text(value: Any, name: str, *, numbers: bool = True) -> str | None:
    """A cell as text; numbers are written out, since a bare number is a common answer."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value != value:
        return None  # a missing cell, as pandas writes it
    if numbers and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise RowProblem(f"{name} is {_KINDS.get(type(value), type(value).__name__)}, not text")


_KINDS: dict[type, str] = {
    dict: "an object", list: "a list", bool: "true or false", bytes: "bytes",
    int: "a number", float: "a number",
}  # fmt: skip
