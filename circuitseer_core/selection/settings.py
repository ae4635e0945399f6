"""Everything that decides a selection, checked; the same from command line to manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_serializer,
    field_validator,
    model_validator,
)

from circuitseer_core.runs import amounts
from circuitseer_core.runs.commands import FolderName, Option, as_python, as_typed, checked, step
from circuitseer_core.selection.budgets import Stratify

DEFAULT_FRACTION = 0.1
DEFAULT_RUN_WORDS = 13
"""Words of a run that a text must share with a benchmark's question (Brown et al. 2020)."""
TokenField = Literal["prompt", "response", "both"]
LengthControl = Literal["none", "within-bins"]
Duplicates = Literal["remove", "keep"]
LEAVE_OUT = "File, folder or hf: dataset of ids or texts to leave out, or an id."


class SelectionSettings(BaseModel):
    """Everything that decides a selection; the options of ``select`` on the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)

    name: FolderName = Field("default", description="Name of this selection.")
    scores: str = Field("default", description="Which scoring.")
    scorer: str = Field("variance", description="Which score column.")
    fraction: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Budget: share of the pool, 0.1 or 10% (0.1 where no budget is given).",
    )
    count: int | None = Field(None, ge=1, description="Budget: number of samples.")
    tokens: int | None = Field(
        None, ge=1, description="Budget: number of tokens, 200000 or 200k or 1.5M."
    )
    token_field: TokenField = Field("prompt", description="Whose tokens --tokens counts.")
    temperature: float = Field(
        1.0, description="Chance ∝ score^(1/τ): 0 is top-k, 1 the paper's, inf uniform."
    )
    target_ess: float | None = Field(
        None, gt=0, le=1, description="Choose the temperature by ESS / N, 0.5 or 50%."
    )
    length_control: LengthControl = Field(
        "none", description="within-bins takes length out of the scores."
    )
    lowest: bool = Field(
        False, description="Draw the lowest scores instead: scores are mirrored (max + min - s)."
    )
    match_lengths: str | None = Field(
        None, description="Take as many rows of every length as this selection has (no budget)."
    )
    stratify: Stratify = Field("none", description="How the sources share the budget.")
    stratify_by: str = Field(
        "source",
        description="The column whose values share the budget, with --stratify; "
        "circuitseer_cluster: the clusters of the command cluster.",
    )
    max_per_source: int | None = Field(None, ge=1, description="Most rows from one source.")
    exclude: tuple[str, ...] = Field((), description=LEAVE_OUT)
    include: tuple[str, ...] = Field(
        (), description="File, folder or hf: dataset of ids or texts to take, or an id."
    )
    exclude_tags: Annotated[tuple[str, ...], Option(flag="--exclude-tag")] = Field(
        (), description="Leave out samples with this tag."
    )
    include_tags: Annotated[tuple[str, ...], Option(flag="--include-tag")] = Field(
        (), description="Take samples with this tag."
    )
    duplicates: Duplicates = Field(
        "remove", description="Rows whose prompts are the same but for case and spacing."
    )
    near_duplicates: float | None = Field(
        None,
        ge=0.5,
        le=1,
        description="Of prompts whose runs of 5 words have a Jaccard index of at least this, keep "
        "one (0.8 is usual).",
    )
    decontaminate: tuple[str, ...] = Field(
        (), description="Benchmark questions (a file or DATA): rows that share words go."
    )
    run_words: Annotated[int, Option(flag="--ngram")] = Field(
        DEFAULT_RUN_WORDS, ge=4, le=100, description="Words in a row that --decontaminate goes by."
    )
    require_response: bool = Field(
        False, description="Only rows that have a response (chat messages need one)."
    )
    review: bool = Field(True, description="Honour pins and drops made by eye.")
    seed: int = Field(0, ge=0, description="Another seed, another draw.")

    @classmethod
    def of(cls, **options: Any) -> SelectionSettings:
        """Make settings; raises UserError with one line where an option is out of range."""
        return checked(cls, **options)

    _shares = field_validator("fraction", "target_ess", "near_duplicates", mode="before")(
        amounts.share
    )
    _wholes = field_validator("count", "tokens", "max_per_source", mode="before")(amounts.whole)

    @model_validator(mode="after")
    def _consistent(self) -> SelectionSettings:
        budgets = [b for b in (self.fraction, self.count, self.tokens) if b is not None]
        if len(budgets) > 1:
            raise ValueError("give one of fraction, count and tokens, not several")
        if not (0 <= self.temperature <= 1e6 or self.temperature == float("inf")):
            raise ValueError("temperature must lie between 0 and 1000000, or be inf")
        if self.target_ess is not None and self.temperature != 1:
            raise ValueError("give temperature or target-ess, not both")
        if self.match_lengths is not None and (
            budgets or self.stratify != "none" or self.max_per_source is not None
        ):
            raise ValueError(
                "match-lengths sets how many rows are taken: give no budget, strata or cap with it"
            )
        if self.stratify_by != "source" and self.stratify == "none":
            raise ValueError("stratify-by needs stratify: proportional or equal")
        return self

    @field_serializer("temperature")
    def _plain_inf(self, value: float) -> float | str:
        return "inf" if value == float("inf") else value  # JSON has no infinity

    @property
    def share(self) -> float | None:
        """The fraction in force: the given one, a tenth where nothing says how much to take."""
        if self.count is None and self.tokens is None and self.match_lengths is None:
            return self.fraction or DEFAULT_FRACTION
        return None

    def same_draw(self, other: SelectionSettings) -> bool:
        """Whether both make the same draw: a tenth is a tenth, given or not; names count not."""
        plain = [
            item.model_copy(update={"name": "", "fraction": item.share}) for item in (self, other)
        ]
        return plain[0] == plain[1]

    def words(self, run: str | Path) -> list[str]:
        """The command that makes this selection, after the program's name."""
        fraction = [] if self.share is None or self.fraction else ["--fraction", str(self.share)]
        return [*step("select", run, self, always=("name", "scorer", "seed")), *fraction]

    def python(self, run: str | Path) -> str:
        """The same as a call of the library, whose ``select`` has two options under other names."""
        names = {"name": "save", "scores": "scoring"}
        return as_python("select", run, self, renamed=names, always=("name",))

    def command(self, run: str | Path) -> str:
        """The same as one would type it in a shell."""
        return as_typed(self.words(run))
