"""Settings of stage 1, validated before any work."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic_core import to_json

from circuitseer_core.data.fields import FIRST, FieldOptions, columns_last
from circuitseer_core.data.specs import DATA_SPEC
from circuitseer_core.detection.heads import SHARE
from circuitseer_core.hashing import short_hash
from circuitseer_core.model.encoding import Template
from circuitseer_core.runs import amounts
from circuitseer_core.runs.commands import Option
from circuitseer_core.runs.machine import (
    ALLOW_PICKLE,
    DEVICE,
    DEVICES,
    DTYPE,
    WEIGHT_BITS,
    DtypeName,
    WeightBits,
    refuse_unclear_devices,
)

NOT_NUMBERS = {"stack_tokens", "device", "devices", "allow_pickle"}
"""Settings that say how fast and where, not what: a run may go on with others."""


AblationName = Literal["uniform", "zero", "mean", "scaled"]
ABLATIONS: tuple[AblationName, ...] = get_args(AblationName)
"""What may take a head's place (ablation.py)."""


def ablated(ablation: str | None, epsilon: float = 0.0) -> str:
    """What was done to a head: "with one head's output set to zero".

    Args:
        ablation: its name; None where it is not known.
        epsilon: the factor of scaled logits; 0 where it is not known.
    """
    words = {
        "uniform": "attention made uniform",
        "zero": "output set to zero",
        "mean": "output put at its mean on the probe",
        "scaled": f"attention logits times {epsilon:g}" if epsilon else "attention logits scaled",
    }
    known = words.get(ablation or "")
    return f"with one head's {known}" if known else "when one head is ablated"


class DetectSettings(FieldOptions):
    """What ``detect`` measures, and how. Names follow the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    PROPOSED: ClassVar[dict[str, str | int]] = {"mode": "racing", "probe_size": 64}
    """What the app's form opens with instead of the defaults: an answer within minutes."""

    model: str = Field(description="A Hub id, a local folder, or demo.")
    revision: str | None = Field(None, description="Revision of a Hub model.")
    probe: list[str] = Field(min_length=1, description=DATA_SPEC)
    contrast: list[str] = Field(
        default_factory=list, description="Data for the contrast set: text that needs no reasoning."
    )
    probe_size: int = Field(300, ge=1, description="Samples in the probe; the paper's 300.")
    probe_pool: int = Field(2000, ge=1, description="Random samples that it is chosen from.")
    probe_criterion: Literal["loss", "random", "stratified"] = Field(
        "loss",
        description="loss takes the highest clean loss (the paper), stratified draws evenly from "
        "the sources.",
    )
    mode: Literal["exact", "racing"] = Field(
        "exact",
        description="exact measures every head on every sample; racing drops hopeless heads after "
        "a pilot: about a fifth of the work.",
    )
    share: Annotated[str, Option(internal=True)] = SHARE
    """Share of heads wanted: racing's final field is twice as many."""
    rank_by: Literal["importance", "specificity"] = Field(
        "importance", description="What makes a reasoning head; specificity needs --contrast."
    )
    template: Template = Field(
        "auto", description="auto is chat where the tokenizer has a chat template."
    )
    loss_tokens: Literal["response", "all"] = Field(
        "response", description="Tokens over which the loss is taken."
    )
    ablation: AblationName = Field(
        "uniform", description="What takes a head's place; uniform is the paper's."
    )
    epsilon: float = Field(0.0, ge=0.0, description="Logit factor of --ablation scaled.")
    max_length: int | None = Field(
        None, ge=2, description="Longest sample in tokens; longer ones are left out."
    )
    dtype: DtypeName = Field("auto", description=DTYPE)
    weight_bits: WeightBits = Field("all", description=WEIGHT_BITS)
    device: str = Field("auto", description=DEVICE)
    allow_pickle: bool = Field(False, description=ALLOW_PICKLE)
    devices: str | None = Field(None, description=DEVICES)
    stack_tokens: Annotated[int | None, Option(internal=True)] = Field(None, ge=1)
    seed: int = Field(0, ge=0, description="Seed of every random choice.")

    _wholes = field_validator("probe_size", "probe_pool", "max_length", mode="before")(
        amounts.whole
    )

    @model_validator(mode="after")
    def _consistent(self) -> DetectSettings:
        if (self.epsilon > 0) != (self.ablation == "scaled"):
            raise ValueError("--epsilon goes with --ablation scaled, and needs to be above 0 there")
        if self.rank_by == "specificity" and not self.contrast:
            raise ValueError("--rank-by specificity needs --contrast data")
        if self.probe_pool < self.probe_size:
            raise ValueError("--probe-pool cannot be smaller than --probe-size")
        refuse_unclear_devices(self)
        return self

    def fingerprint(self) -> str:
        """Hash of every setting that the numbers depend on (not of how fast they are computed)."""
        # Newer than the other settings: at their defaults the hash stays as it was.
        later = {"weight_bits": "all", "response_items": FIRST}
        unset = {name for name, default in later.items() if getattr(self, name) == default}
        numbers = columns_last(self.model_dump(exclude=NOT_NUMBERS | unset))
        return short_hash(to_json(numbers, inf_nan_mode="null").decode())
