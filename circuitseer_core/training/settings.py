"""What decides a training study."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator

from circuitseer_core.data.fields import FieldOptions
from circuitseer_core.model.encoding import TEMPLATES, Template
from circuitseer_core.runs.option_lists import parted

FULL = "full"
"""The arm that is the whole pool, and has steps of its own."""
RATES = (1e-5, 3e-5, 1e-4)
"""Candidate learning rates where every weight is trained."""
LORA_RATES = (1e-4, 3e-4, 1e-3)
"""Those of LoRA, whose adapters begin at zero and take about ten times as high ones."""
UNTRAINED = "untrained"
"""What the model before training is called, beside the kinds of arms."""


class StudySettings(FieldOptions):
    """The settings of a training study; all but ``device`` decide its numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arms: str = Field("", description="folder that the command arms wrote")
    heldout: tuple[str, ...] = Field((), description="held-out DATA, separated by commas")
    model: str = Field("", description="the model to train; the run's by default")
    kinds: tuple[str, ...] = Field(
        (),
        description="which kinds of arms, separated by commas; all but full by default (full "
        "is trained for as many steps as its tokens fill, the others for the same number)",
    )
    reference: str = Field("uniform", description="the arm that the others are compared with")
    seeds: int = Field(3, ge=1, description="training seeds of every kind")
    steps: int = Field(
        0, ge=0, description="optimiser steps of every arm but full; 0: those that show it once"
    )
    tokens_a_step: int = Field(2048, ge=16, description="tokens of an optimiser step")
    learning_rates: tuple[float, ...] = Field(
        (),
        description="candidates, separated by commas; the best on the development part is taken "
        "(1e-5, 3e-5, 1e-4 by default, and ten times as high for LoRA)",
    )
    lr_share: float = Field(
        0.5, gt=0, le=1, description="share of the steps that a candidate learning rate is tried"
    )
    lora_rank: int = Field(0, ge=0, description="rank of LoRA; 0 trains every weight")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32",
        description="of the arithmetic (bf16: autocast; the weights stay fp32, but lie in "
        "bf16 where LoRA trains on a GPU)",
    )
    template: Template = Field(
        "auto", description=f"how a prompt is written: {', '.join(TEMPLATES)}"
    )
    max_length: int = Field(
        1024,
        ge=8,
        description="longer examples are left out, and counted, as beyond the model's positions",
    )
    per_source: int = Field(100, ge=2, description="held-out samples a source, by hash")
    answers: int = Field(
        16,
        ge=0,
        description="held-out samples a source that are answered greedily, where answers can be "
        "extracted; 0: none",
    )
    max_new_tokens: int = Field(256, ge=1, description="of a greedy answer")
    seed: int = Field(0, ge=0, description="of the held-out samples; the first training seed")
    device: str = Field("auto", description="where the model is trained")

    @field_validator("heldout", "kinds", "learning_rates", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return parted(value)

    @property
    def rates(self) -> tuple[float, ...]:
        """The candidate learning rates."""
        return self.learning_rates or (LORA_RATES if self.lora_rank else RATES)

    def decisive(self) -> dict[str, Any]:
        """What a resumed study must agree in."""
        left_out = {"device", "seeds", "kinds", "arms", "learning_rates"}
        own = self.model_dump(mode="json", exclude=left_out)
        return own | {"learning_rates": list(self.rates)}  # last: others decide their default
