"""Settings of stage 1, validated before any work."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from circuitseer_core.data.fields import Fields
from circuitseer_core.hashing import short_hash


class DetectSettings(BaseModel):
    """What ``detect`` measures, and how. Names follow the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    revision: str | None = None
    probe: list[str] = Field(min_length=1)
    contrast: list[str] = []
    prompt_field: str | None = None
    response_field: str | None = None
    source_field: str | None = None
    id_field: str | None = None
    probe_size: int = Field(300, ge=1)
    probe_pool: int = Field(2000, ge=1)
    probe_criterion: Literal["loss", "random", "stratified"] = "loss"
    mode: Literal["exact", "racing"] = "exact"
    share: str = "0.05"
    """Share of heads wanted: racing's final field is twice as many."""
    rank_by: Literal["importance", "specificity"] = "importance"
    template: Literal["auto", "chat", "plain"] = "auto"
    loss_tokens: Literal["response", "all"] = "response"
    ablation: Literal["uniform", "zero", "mean", "scaled"] = "uniform"
    epsilon: float = Field(0.0, ge=0.0)
    max_length: int | None = Field(None, ge=2)
    dtype: str = "auto"
    device: str = "auto"
    stack_tokens: int | None = Field(None, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _consistent(self) -> DetectSettings:
        if (self.epsilon > 0) != (self.ablation == "scaled"):
            raise ValueError("--epsilon goes with --ablation scaled, and needs to be above 0 there")
        if self.rank_by == "specificity" and not self.contrast:
            raise ValueError("--rank-by specificity needs --contrast data")
        if self.probe_pool < self.probe_size:
            raise ValueError("--probe-pool cannot be smaller than --probe-size")
        return self

    @property
    def fields(self) -> Fields:
        """The explicit field names, for reading the data."""
        return Fields(
            prompt=self.prompt_field,
            response=self.response_field,
            source=self.source_field,
            id=self.id_field,
        )

    def fingerprint(self) -> str:
        """Hash of every setting that the numbers depend on (not of how fast they are computed)."""
        return short_hash(self.model_dump_json(exclude={"stack_tokens"}))
