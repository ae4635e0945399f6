"""A batch of blind review as a typed record: what was asked for, and the pairs in their order."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from circuitseer_core.runs.records import Record

Band: TypeAlias = Literal["short", "middle", "long"]
BANDS: tuple[Band, ...] = ("short", "middle", "long")
"""Thirds of the pool by token count."""


class ReviewOptions(Record):
    """What a batch is made of: pairs, and the strata that they come from.

    ``sources``: those to draw from, none for all. ``bands``: of ``BANDS``. ``gap``: percentile
    points of the score by which the two differ at least. ``spread``: pairs ``evenly`` over
    the strata (source by band), or as many from each as it has rows (``as the data``).
    """

    pairs: int = Field(default=20, ge=1, le=200)
    sources: list[str] = Field(default_factory=list)
    bands: list[Band] = Field(default_factory=lambda: list(BANDS))
    gap: float = Field(default=0.0, ge=0.0, lt=100.0)
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
