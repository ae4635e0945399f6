"""Text of data as Markdown in which it is literal; of samples, maths alone may be rendered.

Names, ids, columns, paths and samples come from anywhere: an image tag would fetch, a heading would
shout, ``$3`` would open a formula. Whatever of them reaches a part of Streamlit that reads Markdown
(alerts, captions, labels, tooltips, toasts, metrics, badges, options of segmented controls and
pills) goes through :func:`literal`; ``tests/test_house.py`` finds calls that forget it. Parts that
take plain text (``st.text``, ``st.code``, tables, options of select boxes) take it as it is.

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
# Display maths first; a single dollar opens maths only before a non-space and closes it only after
# one and not before a digit, so that prices stay prices.
_MATHS = re.compile(
    r"\$\$(?P<d1>.+?)\$\$|\\\[(?P<d2>.+?)\\\]|\\\((?P<i1>.+?)\\\)"
    r"|(?<![\\$])\$(?P<i2>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?!\d)",
    re.DOTALL,
)


def to_markdown(text: str) -> str:
    """Markdown that shows ``text`` letter for letter, with its formulas rendered."""
    parts: list[str] = []
    end = 0
    for maths in _MATHS.finditer(text):
        parts.append(literal(text[end : maths.start()]))
        display = maths["d1"] or maths["d2"]
        formula = " ".join((display or maths["i1"] or maths["i2"]).split())
        # A backslash before the closing dollar would escape it, and the formula would go on.
        if "$" in formula or not formula or formula.endswith("\\"):
            parts.append(literal(maths[0]))
        else:
            parts.append(f"\n\n$$\n{formula}\n$$\n\n" if display else f"${formula}$")
        end = maths.end()
    parts.append(literal(text[end:]))
    return "".join(parts)


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
