"""A sample as Markdown: its formulas rendered, all else literal (circuitseer_core/markdown.py)."""

from __future__ import annotations

import re

from circuitseer_core.markdown import inline, literal
from circuitseer_core.wording import together

__all__ = ["inline", "literal", "prose", "to_markdown", "together"]

# Display maths first; a single dollar opens maths only before a non-space and closes it only after
# one and not before a digit, so that prices stay prices. What is opened and never closed is looked
# for no further than the longest formula: a text of nothing else would take minutes.
_MATHS = re.compile(
    r"\$\$(?P<d1>.{1,2000}?)\$\$|\\\[(?P<d2>.{1,2000}?)\\\]|\\\((?P<i1>.{1,2000}?)\\\)"
    r"|(?<![\\$])\$(?P<i2>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?!\d)",
    re.DOTALL,
)


def prose(text: object) -> str:
    """:func:`literal` of a sentence whose numbers stay on one line with their units."""
    return literal(together(str(text)))


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
