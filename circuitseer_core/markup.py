"""HTML elements from plain values, escaped.

Text is escaped here and nowhere else: builders take plain strings and return :class:`Html`, which
is the only thing that is written as it is.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from circuitseer_core.wording import together


class Html(str):
    """Markup that is already safe."""

    __slots__ = ()


def text(value: object) -> Html:
    """Any value as escaped text; markup stays as it is."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True))


def join(parts: Iterable[object]) -> Html:
    """Parts one after the other."""
    return Html("".join(text(part) for part in parts))


def tag(name: str, *children: object, **attributes: str) -> Html:
    """An element; ``class_`` stands for class, ``aria_label`` for aria-label."""
    names = {key: key.rstrip("_").replace("_", "-") for key in attributes}
    pairs = "".join(f' {names[key]}="{text(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{pairs}>{join(children)}</{name}>")


def paragraph(*children: object, class_: str = "") -> Html:
    """A paragraph; numbers in its text stay on one line with their units."""
    parts = [child if isinstance(child, Html) else together(str(child)) for child in children]
    return tag("p", *parts, class_=class_) if class_ else tag("p", *parts)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, numeric: Sequence[int] = ()
) -> Html:
    """A table with a heading row; columns in ``numeric`` are set flush right."""

    def cells(kind: str, row: Sequence[object]) -> Html:
        return join(
            tag(kind, value, class_="number") if i in numeric else tag(kind, value)
            for i, value in enumerate(row)
        )

    head = tag("thead", tag("tr", cells("th", columns)))
    body = tag("tbody", *(tag("tr", cells("td", row)) for row in rows))
    return tag("div", tag("table", head, body), class_="scroll")


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Names and values, as a description list."""
    return tag("dl", *(join((tag("dt", name), tag("dd", value))) for name, value in pairs))


def section(title: str, key: str, *children: object) -> Html:
    """A part of the report with its heading."""
    return tag("section", tag("h2", title), *children, id=key)
