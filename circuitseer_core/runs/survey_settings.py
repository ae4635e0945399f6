"""How data is looked at before a run, checked; the same from command line and library."""

from __future__ import annotations

from pydantic import ConfigDict, Field, field_validator, model_validator

from circuitseer_core.data.fields import FieldOptions
from circuitseer_core.runs import amounts


class SurveySettings(FieldOptions):
    """How data is looked at. Names follow the command line (``data``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(
        None, description="Lengths in this model's tokens (its tokenizer only)."
    )
    revision: str | None = Field(None, description="The model's revision on the Hub.")
    max_length: int | None = Field(
        None, ge=2, description="Longest probe sample in tokens, with --model."
    )
    limit: int | None = Field(None, ge=1, description="Look at so many rows, from the beginning.")

    _wholes = field_validator("limit", "max_length", mode="before")(amounts.whole)

    @model_validator(mode="after")
    def _consistent(self) -> SurveySettings:
        if self.max_length is not None and self.model is None:
            raise ValueError("--max-length is in tokens: name the --model whose tokens they are")
        return self
