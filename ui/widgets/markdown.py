"""A sample's text as Markdown in which only its maths is rendered and all else is literal.

Samples come from anywhere: an image tag would fetch, a heading would shout, ``$3`` would open a
formula. So every punctuation mark outside maths is escaped, and preceded by an invisible word
joiner, which stops what acts on plain text after Markdown (links, emoji and icon codes, arrows).
"""

from __future__ import annotations

import re
import string

_JOINER = "\u2060"
_ESCAPED = {ord(c): f"{_JOINER}\\{c}" for c in string.punctuation}
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
        if "$" in formula or not formula:
            parts.append(literal(maths[0]))
        else:
            parts.append(f"\n\n$$\n{formula}\n$$\n\n" if display else f"${formula}$")
        end = maths.end()
    parts.append(literal(text[end:]))
    return "".join(parts)


def literal(text: str) -> str:
    """Markdown that shows ``text`` letter for letter, formulas too."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "  \n".join(_line(line) for line in lines)


def _line(line: str) -> str:
    body = line.lstrip(" \t")
    indent = "\u00a0" * len(line[: len(line) - len(body)].expandtabs(4))
    # An empty line would end the paragraph and so free the next line's first characters.
    return (indent + body.translate(_ESCAPED)) or "\u00a0"
