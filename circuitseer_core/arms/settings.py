"""What decides a set of comparison arms; the options of ``arms`` on the command line."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from circuitseer_core.arms.kinds import ARMS
from circuitseer_core.runs import amounts
from circuitseer_core.selection.settings import LEAVE_OUT, LengthControl, TokenField

DEFAULT_SHARE = 0.1


class ArmsSettings(BaseModel):
    """The options of ``arms``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scores: str = Field("default", description="Which scoring.")
    scorer: str = Field("variance", description="Which score column is on trial.")
    other_scores: str | None = Field(
        None,
        description="Another scoring of the same rows (of the responses, say): an arm by it too.",
    )
    temperature: float = Field(
        1.0, gt=0, description="Of the soft draws: chance ∝ score^(1/τ); 1 is the paper's."
    )
    length_control: LengthControl = Field(
        "none", description="within-bins takes length out of the scores."
    )
    arms: tuple[str, ...] = Field(
        (), description=f"Which arms; all that this scoring has by default: {', '.join(ARMS)}."
    )
    share: float | None = Field(
        None, gt=0, lt=1, description="Budget of every arm: share of the pool's tokens, 5% (0.1)."
    )
    tokens: int | None = Field(None, ge=1, description="Budget of every arm: tokens.")
    rows: int | None = Field(None, ge=1, description="Budget of every arm: rows, not tokens.")
    token_field: TokenField = Field(
        "both", description="Whose tokens the budget counts; training sees both."
    )
    seeds: int = Field(3, ge=1, le=100, description="Draws of every arm that is random.")
    seed: int = Field(0, ge=0, description="The first seed.")
    exclude: tuple[str, ...] = Field((), description=LEAVE_OUT)
    target_model: str | None = Field(
        None, description="Model named in the trainers' settings; the reference model by default."
    )

    _shares = field_validator("share", mode="before")(amounts.share)
    _wholes = field_validator("tokens", "rows", mode="before")(amounts.whole)

    @field_validator("arms")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in ARMS:
                raise ValueError(f"no arm {name!r}; there are {', '.join(ARMS)}")
        return tuple(name for name in ARMS if name in value)

    @model_validator(mode="after")
    def _consistent(self) -> ArmsSettings:
        if self.other_scores == self.scores:
            raise ValueError("other-scores names the scoring that is on trial itself")
        if sum(value is not None for value in (self.share, self.tokens, self.rows)) > 1:
            raise ValueError("give one of share, tokens and rows, not several")
        return self
