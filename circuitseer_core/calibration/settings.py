"""Settings of ``calibrate``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from circuitseer_core.runs.commands import FolderName, Option

VERDICTS = "verdicts"
"""The target that stands for the blind review's pairwise verdicts."""
COUNT = "count:"
"""A target of this form counts a text in the responses."""

_MANY_ROWS, _REPEATS = 1_000, (5, 2)
Family = Literal["first", "focus", "divergence", "entropy", "distance"]


class CalibrateSettings(BaseModel):
    """What ``calibrate`` fits. Names follow the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: str | None = Field(
        None,
        description="What to fit: a column of the scores or of the data, count:TEXT (how often the "
        "response has TEXT), or verdicts (of the blind review).",
    )
    scores: str = Field("default", description="Which scoring; it needs head readings.")
    name: FolderName = Field(
        "default", description="Name of this calibration, for several side by side."
    )
    apply: str | None = Field(
        None, description="Fit nothing: give this scoring the scorer of --name."
    )
    levels: Annotated[tuple[str, ...], Option(flag="--level")] = Field(
        (), description="A word of an ordinal target; repeat, lowest first."
    )
    heads_at_most: int | None = Field(
        None, ge=1, description="A sparse fit: at most so many heads have a weight."
    )
    families: Annotated[tuple[Family, ...], Option(flag="--family")] = Field(
        (), description="Only these readings; all are tried where none is given."
    )
    within_sources: bool = Field(
        False, description="Take differences between sources out of target and readings too."
    )
    folds: int = Field(10, ge=3, le=50, description="Random folds of the outer estimate.")
    repeats: int | None = Field(
        None,
        ge=1,
        le=50,
        description="Assignments of rows to folds that are judged; "
        f"{_REPEATS[0]} up to {_MANY_ROWS:,} rows, else {_REPEATS[1]}.",
    )
    permutations: int = Field(
        100, ge=20, le=2000, description="Fits on permuted targets, to know what chance gives."
    )
    seed: int = Field(0, ge=0, description="Seed of folds, permutations and intervals.")

    def repeats_for(self, rows: int) -> int:
        """How many assignments of so many rows to folds are judged."""
        return self.repeats or _REPEATS[rows > _MANY_ROWS]
