"""Everything that decides a selection, checked; the same from command line to manifest."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    model_validator,
)

from circuitseer_core.errors import UserError
from circuitseer_core.selection.budgets import Stratify

DEFAULT_FRACTION = 0.1
TokenField = Literal["prompt", "response", "both"]
LengthControl = Literal["none", "within-bins"]
Duplicates = Literal["remove", "keep"]


class SelectionSettings(BaseModel):
    """Everything that decides a selection; the options of ``select`` on the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)

    name: str = Field("default", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    scores: str = "default"
    scorer: str = "variance"
    fraction: float | None = Field(None, gt=0, le=1)
    count: int | None = Field(None, ge=1)
    tokens: int | None = Field(None, ge=1)
    token_field: TokenField = "prompt"
    temperature: float = 1.0
    target_ess: float | None = Field(None, gt=0, le=1)
    length_control: LengthControl = "none"
    stratify: Stratify = "none"
    max_per_source: int | None = Field(None, ge=1)
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude_tags: tuple[str, ...] = ()
    include_tags: tuple[str, ...] = ()
    duplicates: Duplicates = "remove"
    review: bool = True
    seed: int = 0

    @classmethod
    def of(cls, **options: Any) -> SelectionSettings:
        """Make settings; raises UserError with one line where an option is out of range."""
        try:
            return cls(**options)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            what = first["msg"].removeprefix("Value error, ")
            raise UserError(f"{where.replace('_', '-')}: {what}" if where else what) from error

    @model_validator(mode="after")
    def _consistent(self) -> SelectionSettings:
        budgets = [b for b in (self.fraction, self.count, self.tokens) if b is not None]
        if len(budgets) > 1:
            raise ValueError("give one of fraction, count and tokens, not several")
        if not (0 <= self.temperature <= 1e6 or self.temperature == float("inf")):
            raise ValueError("temperature must lie between 0 and 1000000, or be inf")
        if self.target_ess is not None and self.temperature != 1:
            raise ValueError("give temperature or target-ess, not both")
        return self

    @field_serializer("temperature")
    def _plain_inf(self, value: float) -> float | str:
        return "inf" if value == float("inf") else value  # JSON has no infinity

    @property
    def share(self) -> float | None:
        """The fraction in force: the given one, or a tenth where no budget was given."""
        if self.count is None and self.tokens is None:
            return self.fraction or DEFAULT_FRACTION
        return None

    def command(self, run: str | Path) -> str:
        """The shell command that makes this selection: every option that is not at its default."""
        words = ["python", "-m", "circuitseer_core", "select", "--run", str(run)]
        for field, info in type(self).model_fields.items():
            value = getattr(self, field)
            if field == "review":
                words += [] if value else ["--no-review"]
            elif value != info.default or field in ("name", "scorer", "seed"):
                for item in value if isinstance(value, tuple) else (value,):
                    words += ["--" + _OPTION.get(field, field).replace("_", "-"), f"{item}"]
        if self.share == DEFAULT_FRACTION and self.fraction is None:
            words += ["--fraction", str(DEFAULT_FRACTION)]
        return shlex.join(words)


_OPTION = {"exclude_tags": "exclude-tag", "include_tags": "include-tag"}
