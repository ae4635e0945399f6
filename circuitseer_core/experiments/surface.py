"""What can be seen of a text without understanding it: digits, operators, LaTeX, lines, layout.

A score that follows these follows form. They are counts of marks, so that length is a part of most
of them; where length is held fixed beside them, what is left is density.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from circuitseer_core.aliases import Floats

FEATURES: dict[str, re.Pattern[str]] = {
    "digits": re.compile(r"\d"),
    "numbers": re.compile(r"\d+(?:[.,]\d+)*"),
    "operators": re.compile(r"[-+*/=×÷^<>≤≥−%]"),
    "LaTeX": re.compile(r"\\[A-Za-z]+|\\[()\[\]]|\$[^$\n]+\$"),
    "newlines": re.compile(r"\n"),
    "formatting": re.compile(r"(?m)^\s*(?:[-*#>|]|\d+[.)]|[A-Ea-e]\))|\*\*|```|\|"),
    "punctuation": re.compile(r"[.,;:?!()]"),
    "capitals": re.compile(r"[A-Z]"),
}
"""Feature by name: how often the pattern is in the text. ``words`` is counted beside them."""

_OPERATION = re.compile(
    r"[\d)%]\s*(?:[-+*/×÷^−]|\\times|\\cdot|\\div)\s*(?=[\d($\\-])"  # between two operands
)
_WORKED = re.compile(r"<<.{0,200}?>>")


def surface_features(texts: Sequence[str]) -> dict[str, Floats]:
    """Every feature of n texts, (n,) counts by name; features that no text has are left out."""
    counts = {
        name: np.array([len(pattern.findall(text)) for text in texts], dtype=np.float64)
        for name, pattern in FEATURES.items()
    }
    counts["words"] = np.array([len(text.split()) for text in texts], dtype=np.float64)
    return {name: values for name, values in counts.items() if np.ptp(values) > 0}


def operations(text: str) -> float:
    """Arithmetic operations written out: operators between two operands.

    The marks ``<<48/2=24>>`` repeat what stands before them and are left out.
    """
    return float(len(_OPERATION.findall(_WORKED.sub("", text))))
