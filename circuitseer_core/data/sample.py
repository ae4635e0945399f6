"""The record that every stage speaks of, the row that could not become one, the scored text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from circuitseer_core.json_io import jsonable

ScoredPart = Literal["prompt", "response", "full"]
"""Which text of a sample is scored; ``full`` is the prompt, a newline and the response."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One training sample: texts exactly as they stand in the data, and the row as it came."""

    id: str
    source: str
    prompt: str
    response: str | None
    original: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that cannot be used: ``file:line`` (or ``file row n``), its source, and why.

    They name files and columns, and are written down: half a surrogate pair becomes U+FFFD.
    """

    where: str
    source: str
    reason: str

    def __post_init__(self) -> None:
        """Make every text one that UTF-8 has."""
        for name in ("where", "source", "reason"):
            object.__setattr__(self, name, jsonable(getattr(self, name)))


def scored_text(part: ScoredPart, prompt: str | None, response: str | None) -> str | None:
    """The text that is scored: the prompt, the response, or both joined by a newline.

    None where a text it needs is missing.
    """
    if part == "prompt":
        return prompt
    if part == "response":
        return response
    return None if prompt is None or response is None else f"{prompt}\n{response}"
