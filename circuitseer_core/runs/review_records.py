"""Blind review as typed records: what a batch asks for, its pairs in their order, the verdicts."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import Field, field_validator

from circuitseer_core.runs.records import Record

Band: TypeAlias = Literal["short", "middle", "long"]
BANDS: tuple[Band, ...] = ("short", "middle", "long")
"""Thirds of the pool by token count."""
Choice: TypeAlias = Literal["left", "right", "tie", "skip"]
CHOICES: tuple[Choice, ...] = ("left", "right", "tie", "skip")


class ReviewOptions(Record):
    """What a batch is made of: pairs, and the strata that they come from.

    ``sources``: those to draw from, none for all. ``bands``: of ``BANDS``. ``gap``: percentile
    points of the score by which the two differ at least. ``spread``: pairs ``evenly`` over
    the strata (source by band), or as many from each as it has rows (``as the data``).
    """

    pairs: int = Field(default=20, ge=1, le=200)
    sources: list[str] = Field(default_factory=list)
    bands: list[Band] = Field(default_factory=lambda: list(BANDS))
    gap: float = Field(default=0.0, ge=0.0, le=99.0)
    spread: Literal["evenly", "as the data"] = "evenly"


class ReviewPair(Record):
    """Two samples of one source and band; scores, percentiles and tokens are (left, right)."""

    left: str = Field(min_length=1)
    right: str = Field(min_length=1)
    source: str
    band: str
    scores: tuple[float, float]
    percentiles: tuple[float, float]
    tokens: tuple[int, int]


class ReviewBatch(Record):
    """Pairs that are judged together, without feedback until the batch is closed."""

    batch: str = Field(min_length=1)
    time: str = ""
    scorer: str = Field(min_length=1)
    scoring: str = "default"
    options: ReviewOptions = ReviewOptions()
    pairs: list[ReviewPair] = Field(min_length=1)


class ReviewVerdict(Record):
    """Which of two samples a person found harder.

    ``scores``: (left, right) by ``scorer`` when it was judged. What a line does not say, or says in
    another form, is None.
    """

    left: str = Field(min_length=1)
    right: str = Field(min_length=1)
    choice: Choice
    time: str | None = None
    scorer: str | None = None
    scores: tuple[float, float] | None = None
    scoring: str | None = None
    batch: str | None = None

    @field_validator("time", "scorer", "scoring", "batch", mode="before")
    @classmethod
    def _text(cls, value: Any) -> str | None:
        return value if isinstance(value, str) else None

    @field_validator("scores", mode="before")
    @classmethod
    def _two_numbers(cls, value: Any) -> tuple[float, float] | None:
        pair = value if isinstance(value, list | tuple) and len(value) == 2 else ()
        if len(pair) != 2 or not all(type(score) in (int, float) for score in pair):
            return None
        return float(pair[0]), float(pair[1])
