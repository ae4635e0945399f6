"""One scored row in full, and where its text comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from circuitseer_core.data.sample import ScoredPart, scored_text
from circuitseer_core.json_io import json_object


class HasText(Protocol):
    """What the text of a sample must offer where the run itself holds none."""

    @property
    def prompt(self) -> str:
        """The question."""
        ...

    @property
    def response(self) -> str | None:
        """The answer, where known."""
        ...

    @property
    def original(self) -> dict[str, Any]:
        """The row as it came."""
        ...


@dataclass(frozen=True)
class ScoredSample:
    """One row in full.

    ``profile`` (T,) float32 sums to 1, empty where the run keeps none; ``token_starts`` (T,) int32
    are character offsets into ``text``; ``special`` (T,) bool. ``text`` is what was scored, or ""
    where no text is at hand.
    """

    id: str
    source: str
    n_tokens: int
    truncated: bool
    scores: dict[str, float]
    profile: NDArray[np.float32]
    token_starts: NDArray[np.int32]
    special: NDArray[np.bool_]
    prompt: str | None
    response: str | None
    original: dict[str, Any] = field(default_factory=dict)
    text: str = ""


def from_row(row: pd.Series, scorers: list[str], part: ScoredPart) -> ScoredSample:
    """A row of the shards as a record; ``part`` of it was scored."""
    prompt, response = _text(row["prompt"]), _text(row["response"])
    return ScoredSample(
        id=str(row["id"]),
        source=str(row["source"]),
        n_tokens=int(row["n_tokens"]),
        truncated=bool(row["truncated"]),
        scores={c: float("nan") if pd.isna(row[c]) else float(row[c]) for c in scorers},
        profile=_array(row["profile"], np.float32),
        token_starts=_array(row["token_starts"], np.int32),
        special=_array(row["special_mask"], np.bool_),
        prompt=prompt,
        response=response,
        original=json_object(row["original"]),
        text=scored_text(part, prompt, response) or "",
    )


def texts_table(texts: Mapping[str, HasText]) -> pa.Table:
    """id, prompt, response, original (JSON) of texts given by id."""
    rows = list(texts.items())
    return pa.table(
        {
            "id": [k for k, _ in rows],
            "prompt": [v.prompt for _, v in rows],
            "response": pa.array([v.response for _, v in rows], pa.string()),
            "original": [json.dumps(v.original, default=str) for _, v in rows],
        }
    )


def _array(value: Any, dtype: Any) -> NDArray[Any]:
    """A list column's value; a null becomes an empty array."""
    return np.asarray(value if isinstance(value, np.ndarray | list) else [], dtype=dtype)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
