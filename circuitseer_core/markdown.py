"""Text of data as Markdown in which it is literal: for pages, and for cards beside exports.

Names, ids, columns, paths and samples come from anywhere: an image tag would fetch, a heading would
shout, ``$3`` would open a formula. Whatever of them reaches a part of Streamlit that reads Markdown
(alerts, captions, labels, tooltips, toasts, metrics, badges, options of segmented controls and
pills), or a card, goes through :func:`literal`; ``tests/test_house.py`` finds calls of pages that
forget it. Parts that take plain text (``st.text``, ``st.code``, tables, options of select boxes)
take it as it is.

Punctuation is escaped where it could mean something. What acts on plain text after Markdown (links,
emoji and icon codes, arrows) is stopped by an invisible word joiner within its pattern, and by
nothing else, so that a name reads and copies as it is.
"""

from __future__ import annotations

import re

_JOINER = "\u2060"
_MARK = re.compile(
    r"(?P<opening>:(?=//|[\w+/-]+:))"
    r"|(?P<within>(?<=[wW]{3})\.|@|(?<=[-<>=~])[-<>=~])"
    r"|(?P<mark>[\\`*\[\]<>!|$~:&#+=^]|(?<![^\W_])_|_(?![^\W_])"
    r"|(?<!\w)-|-(?!\w)|(?<=\d)[.)](?=\s|$))"
)
_NEVER_TEXT = re.compile("[\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""Halves of surrogate pairs, which cannot be sent, and marks that turn what follows around."""


def literal(text: object) -> str:
    """Markdown that shows ``text`` letter for letter, formulas too.

    Half a surrogate pair and marks that reverse the text after them become U+FFFD.
    """
    plain = _NEVER_TEXT.sub("\ufffd", str(text))
    lines = plain.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "  \n".join(_line(line) for line in lines)


def inline(text: object) -> str:
    """:func:`literal` in one line, for labels and what stands inside other Markdown."""
    return literal(" ".join(str(text).split())) if str(text).strip() else "\u00a0"


def _line(line: str) -> str:
    body = line.lstrip(" \t")
    indent = "\u00a0" * len(line[: len(line) - len(body)].expandtabs(4))
    # An empty line would end the paragraph and so free the next line's first characters.
    return (indent + _MARK.sub(_escaped, body)) or "\u00a0"


def _escaped(mark: re.Match[str]) -> str:
    if mark["opening"]:
        return f"\\{mark[0]}{_JOINER}"
    return f"{_JOINER if mark['within'] else ''}\\{mark[0]}"


def code(text: object) -> str:
    """A code span in one line that shows ``text`` letter for letter, backticks too."""
    plain = " ".join(_NEVER_TEXT.sub("\ufffd", str(text)).split())
    ticks = "`" * (_longest_run(plain) + 1)
    padded = f" {plain} " if plain.startswith("`") or plain.endswith("`") or not plain else plain
    return f"{ticks}{padded}{ticks}"


def fenced(text: object, language: str = "") -> str:
    """A block of code that nothing in ``text`` can end."""
    plain = _NEVER_TEXT.sub("\ufffd", str(text))
    fence = "`" * max(3, _longest_run(plain) + 1)
    return f"{fence}{language}\n{plain}\n{fence}"


def _longest_run(text: str) -> int:
    """Backticks in a row."""
    return max((len(run) for run in re.findall("`+", text)), default=0)
