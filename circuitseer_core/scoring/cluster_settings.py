"""Settings of ``cluster``, apart from what needs torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from circuitseer_core.runs import amounts
from circuitseer_core.runs.machine import ALLOW_PICKLE, DEVICE, DTYPE, DtypeName


class ClusterSettings(BaseModel):
    """What ``cluster`` makes. Names follow the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scores: str = Field("default", description="Which scoring's rows.")
    clusters: int = Field(20, ge=2, le=1000, description="How many clusters.")
    max_length: int | None = Field(
        None, ge=2, description="Longest prompt in tokens; longer ones are cut."
    )
    dtype: DtypeName = Field("auto", description=DTYPE)
    device: str = Field("auto", description=DEVICE)
    allow_pickle: bool = Field(False, description=ALLOW_PICKLE)
    seed: int = Field(0, ge=0, description="Seed of the centres.")

    _wholes = field_validator("clusters", "max_length", mode="before")(amounts.whole)
