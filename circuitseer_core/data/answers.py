r"""The answer in a worked solution: a number or an option's letter, and whether two are the same.

1. Where the prompt lists options (``A)``, ``(B)``, ``C.`` at the start of a line, at least two) the
   answer is a letter: the last one behind the word answer, option or choice, else the last in
   brackets, else the text where it is nothing but a letter.
2. Else it is a number: behind ``####``, in ``\boxed{…}``, or the last one in the text.

Both sides of a comparison are read by the same rules. A text without an answer has None, which is
the same as nothing.
"""

from __future__ import annotations

import re
from fractions import Fraction

_NUMBER = r"[-−]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+(?:\.\d+)?)?"
_LAST_NUMBER = re.compile(_NUMBER)
_MARKED = re.compile(rf"####\s*\$?\s*({_NUMBER})")
_BOXED = re.compile(r"\\boxed\s*\{([^{}]*)\}")
_OPTION = re.compile(r"^[^\S\n]*\(?([A-H])[).:]", re.MULTILINE)
_NAMED_LETTER = re.compile(
    r"(?:answer|option|choice)(?:\s+is|\s+would\s+be)?[^A-Za-z0-9\n]{0,6}([A-H])\b(?!['’])",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"\(([A-H])\)|(?<![A-Za-z])([A-H])\)")
_ALONE = re.compile(r"^\W*([A-H])\W*$")
_TOLERANCE = 1e-4
"""Relative difference up to which two numbers are one: 0.3333 is 1/3."""


def lists_options(prompt: str) -> bool:
    """Whether a prompt lists at least two options by letter."""
    return len(set(_OPTION.findall(prompt))) >= 2


def extract_answer(text: str, *, letter: bool = False) -> str | None:
    """The answer in ``text`` as written there; None where there is none.

    Args:
        letter: an option's letter is wanted (:func:`lists_options` of the prompt), not a number.
    """
    if letter:
        return _letter(text)
    marked = _MARKED.findall(text)
    boxed = [n for inside in _BOXED.findall(text) for n in _LAST_NUMBER.findall(inside)]
    numbers = marked or boxed or _LAST_NUMBER.findall(text)
    return numbers[-1] if numbers else None


def _letter(text: str) -> str | None:
    for pattern in (_NAMED_LETTER, _BRACKETED, _ALONE):
        letters = [
            letter for match in pattern.finditer(text) for letter in match.groups() if letter
        ]
        if letters:
            return letters[-1].upper()
    return None


def same_answer(one: str | None, other: str | None) -> bool:
    """Whether two extracted answers are the same letter, or the same number within 0.01 %."""
    if one is None or other is None:
        return False
    left, right = _value(one), _value(other)
    if left is None or right is None:
        return one == other
    return abs(left - right) <= _TOLERANCE * max(abs(left), abs(right))


def _value(text: str) -> float | None:
    """The number that an answer is: 1,200, −3, 1/3; None for a letter."""
    numerator, _, denominator = text.replace(",", "").replace("−", "-").partition("/")
    try:
        top, bottom = Fraction(numerator.strip()), Fraction(denominator.strip() or "1")
        return float(top / bottom)
    except (ValueError, ZeroDivisionError, OverflowError):  # too many digits for a float, too
        return None
