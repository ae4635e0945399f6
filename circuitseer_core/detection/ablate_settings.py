"""Settings of ``ablate``, apart from the heads and from what needs torch."""

from __future__ import annotations

from pydantic import ConfigDict, Field, field_validator

from circuitseer_core.data.fields import FieldOptions
from circuitseer_core.data.specs import DATA_SPEC
from circuitseer_core.runs import amounts
from circuitseer_core.runs.machine import ALLOW_PICKLE, DEVICE


class AblateSettings(FieldOptions):
    """On what ``ablate`` measures. Names follow the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: list[str] = Field(min_length=1, description=DATA_SPEC)
    limit: int = Field(200, ge=1, description="At most so many samples, by hash.")
    max_length: int | None = Field(
        None, ge=2, description="Longest sample in tokens; longer ones are left out before --limit."
    )
    device: str = Field("auto", description=DEVICE)
    allow_pickle: bool = Field(False, description=ALLOW_PICKLE)

    _wholes = field_validator("limit", "max_length", mode="before")(amounts.whole)
