"""Widgets for the fields of a settings class: choices, bounds, default and help are the field's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, get_args

import streamlit as st
from pydantic import BaseModel

KEEP: dict[str, Any] = {"persist_state": "session"}


def named_choice(
    kind: type[BaseModel],
    name: str,
    label: str,
    *,
    key: str,
    where: Any = st,
    format_func: Callable[[Any], str] = str,
) -> Any:
    """A select box over the values that the field may have, its default first in view."""
    info, values = kind.model_fields[name], choices(kind, name)
    if key not in st.session_state:
        st.session_state[key] = proposed(kind, name)
    return where.selectbox(
        label, values, key=key, help=info.description, format_func=format_func, **KEEP
    )


def whole_number(
    kind: type[BaseModel],
    name: str,
    label: str,
    *,
    key: str,
    most: int,
    where: Any = st,
    placeholder: str | None = None,
) -> int | None:
    """A number input from the field's lower bound to ``most``; empty where it may be.

    A larger number that a link or another run has brought stands: as measured is as measured.
    """
    info = kind.model_fields[name]
    default = proposed(kind, name)
    value = where.number_input(
        label,
        bounds(kind, name)[0],
        max(most, st.session_state.get(key) or 0),
        default,
        key=key,
        help=info.description,
        placeholder=placeholder,
        **KEEP,
    )
    return None if value is None else int(value)


def choices(kind: type[BaseModel], name: str) -> list[Any]:
    """The values of a field of named choices, in the class's order."""
    return list(_schema(kind)["properties"][name]["enum"])


@cache
def _schema(kind: type[BaseModel]) -> dict[str, Any]:
    """Made once: it takes 20 ms, and a form asks for ten of its fields."""
    return kind.model_json_schema()


def proposed(kind: type[BaseModel], name: str) -> Any:
    """What the form opens with: the class's proposal for it, else the field's default."""
    proposals: dict[str, Any] = getattr(kind, "PROPOSED", {})
    return proposals.get(name, kind.model_fields[name].default)


def bounds(kind: type[BaseModel], name: str) -> tuple[Any, Any]:
    """The least and the greatest value that a field of numbers may have; None where it has none."""
    info = kind.model_fields[name]
    number = float if float in (info.annotation, *get_args(info.annotation)) else int
    least, most = (
        next(
            (number(b) for item in info.metadata if (b := getattr(item, bound, None)) is not None),
            None,
        )
        for bound in ("ge", "le")
    )
    return least, most
