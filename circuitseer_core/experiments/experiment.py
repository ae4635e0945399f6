"""What an experiment is, what it returns, and where that is kept."""

from __future__ import annotations

import importlib
import math
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self, get_args

import pandas as pd
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo

from circuitseer_core.data.fields import FieldOptions, columns_last
from circuitseer_core.errors import UserError
from circuitseer_core.files import write_parquet
from circuitseer_core.hashing import file_hash, short_hash
from circuitseer_core.json_io import jsonable
from circuitseer_core.runs import amounts
from circuitseer_core.runs.experiment_records import (
    EXPERIMENT_FORMAT,
    ExperimentRecord,
    Outcome,
    Plot,
)
from circuitseer_core.runs.experiments import experiments_folder, saved_results
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.machine import short_name
from circuitseer_core.runs.option_lists import joined
from circuitseer_core.runs.progress import announced
from circuitseer_core.runs.stage import occupied

WITHOUT_MODEL_S = 10.0
WITHOUT_MODEL_ROW_S = 1e-4
"""Seconds that an experiment on stored numbers takes, roughly, and for every scored row more (at
40,000 rows and 3 random-head draws the slowest, transfer, took 2.4 s of one core)."""


_LONGEST = "max_tokens"
"""What experiments on a run's own kind of samples call the longest of them."""
_TELLING = ("rephrased", "scores", "other_scores", "scorer", "reference")
"""Options that make a result one of its own, beside that of the defaults."""
_RUNS = ("other", "others")
"""Those that name runs."""
_LONGEST_NAME = 120

ModelDevice = Annotated[str, Field(description="where the model runs")]
ModelDtype = Annotated[
    str, BeforeValidator(short_name), Field(description="run (as in detection), fp32, bf16 or fp16")
]
"""Options of experiments that run the model."""


class CheckedOptions(BaseModel):
    """Options that are checked; text from a command line is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _as_people_type(cls, value: Any, of: ValidationInfo) -> Any:
        """Whole numbers as 2k, and numbers of at most 1, which are shares, as 10%."""
        field = cls.model_fields[str(of.field_name)]
        if int in (field.annotation, *get_args(field.annotation)):
            return amounts.whole(value)
        most = [getattr(bound, "le", getattr(bound, "lt", None)) for bound in field.metadata]
        return amounts.share(value) if 1 in most else value

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Checked options. Raises UserError, one line, naming the option (and those there are)."""
        try:
            return cls(**options)
        except ValidationError as error:
            first = error.errors()[0]
            name = "-".join(str(part) for part in first["loc"][:1])
            if first["type"] == "extra_forbidden":
                known = ", ".join(cls.model_fields) or "none"
                raise UserError(f"no option {name!r} here; there are: {known}") from error
            message = first["msg"].removeprefix("Value error, ")
            raise UserError(f"option {name}: {message}") from error


class ExperimentOptions(CheckedOptions):
    """Options of one experiment."""

    name: str | None = Field(
        None,
        max_length=_LONGEST_NAME,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="name of the result, the experiment's with -more behind it; none: by scores, "
        "scorer, reference and other run where they are not the default",
    )


class DataOptions(ExperimentOptions, FieldOptions):
    """Options of one experiment on DATA: which columns to read, as ``score`` takes them; where
    none is named, those that the run's probe was read by, else the recognised ones."""


def plain_option(value: Any) -> Any:
    """An option from Python as the command line gives it: runs and paths by their path, lists with
    commas."""
    if isinstance(value, Run):
        return str(value.path)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return joined(plain_option(item) for item in value)
    return value


def default_words(field: FieldInfo) -> str:
    """An option's default as it would be typed; ``none`` where it is nothing."""
    nothing = field.default is None or field.default == ()
    return "none" if nothing else str(plain_option(field.default))


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """What an experiment found.

    Attributes:
        name: of the experiment, with what tells it from its other results behind it.
        title: the question it answers.
        verdict: the answer in a few sentences, numbers included.
        numbers: what the verdict rests on, fit for JSON.
        table: the details, a row a case.
        outcome: the answer for programs, with its interval; None where it only describes.
        plots: how the table is drawn.
        experiment: whose result this is, where it has a name of its own.
    """

    name: str
    title: str
    verdict: str
    numbers: dict[str, Any]
    table: pd.DataFrame
    outcome: Outcome | None = None
    plots: tuple[Plot, ...] = ()
    experiment: str | None = None

    def save(self, run: Run, options: dict[str, Any], seconds: float | None = None) -> None:
        """Write RUN/experiments/NAME.parquet, then NAME.json (each atomically).

        The record names the table's hash: killed in between, the new table is none of the old
        verdict's (``runs/experiments.py``).
        """
        folder = experiments_folder(run)
        table = folder / f"{self.name}.parquet"
        write_parquet(table, self.table)
        entry = ExperimentRecord(
            format=EXPERIMENT_FORMAT,
            name=self.name,
            experiment=self.experiment,
            title=self.title,
            verdict=self.verdict,
            numbers=jsonable(self.numbers),
            options=jsonable(options),
            finished=now(),
            seconds=None if seconds is None else round(seconds, 1),
            outcome=self.outcome,
            plots=list(self.plots),
            table_sha256=file_hash(table),
        )
        entry.write(folder / f"{self.name}.json")


@dataclass(frozen=True, slots=True)
class Experiment:
    """An entry of the registry; ``module`` is imported when it is run or asked for its options.

    ``needs_other``: it compares runs, and another has to be named (``or_scoring``: unless this run
    has a second scoring). ``describes``: it asks nothing
    that an interval could answer with yes or no, so its results have no outcome. A module may have
    ``estimated_seconds(run, **options) -> float``, for those that take long (None: not known).
    """

    name: str
    description: str
    module: str
    needs_model: bool = False
    needs_other: bool = False
    or_scoring: bool = False
    describes: bool = False

    def options(self) -> dict[str, str]:
        """The options and what they mean."""
        return {
            name: f"{field.description} "
            + ("(needed)" if field.is_required() else f"(default: {default_words(field)})")
            for name, field in self.fields().items()
        }

    def fields(self) -> dict[str, FieldInfo]:
        """The options by name, those that name columns of data last."""
        return columns_last(self.options_class().model_fields)

    def _typed(self) -> dict[str, str]:
        """The options as they are typed, by what hints call them (errors.py)."""
        fields = self.options_class().model_fields
        typed = {name.replace("_", "-"): f"--set {name}=" for name in fields}
        return {"max-length": f"--set {_LONGEST}="} | typed if _LONGEST in fields else typed

    def takes(self, option: str) -> bool:
        """Whether it has an option of this name."""
        return option in self.options_class().model_fields

    def lacks_other(self, run: Run) -> bool:
        """Whether it cannot be run on ``run`` before another run is named."""
        return self.needs_other and not (self.or_scoring and len(run.scorings()) > 1)

    def options_class(self) -> type[ExperimentOptions]:
        """The class that checks its options."""
        model: type[ExperimentOptions] = importlib.import_module(self.module).Options
        return model

    def estimated_seconds(self, run: Run, **options: Any) -> float | None:
        """About what it takes: its own estimate, what it took last, without a model by the rows.

        None where it needs a model and nothing is known. Raises UserError for a wrong option, or
        where a stage it needs has not been run.
        """
        module = importlib.import_module(self.module)
        if hasattr(module, "estimated_seconds"):
            own: float | None = module.estimated_seconds(run, **options)
            return own if own is not None and math.isfinite(own) else None
        for kept in saved_results(run):
            if kept.of == self.name and kept.seconds is not None:
                return kept.seconds
        if self.needs_model:
            return None
        return WITHOUT_MODEL_S + WITHOUT_MODEL_ROW_S * _rows(run, options.get("scores", "default"))

    def run(self, run: Run, **options: Any) -> ExperimentResult:
        """Run it on ``run`` and keep the result in the run folder, which is held meanwhile.

        Raises:
            UserError: a stage it needs has not been run, an option is wrong, or another process is
                at work in the run.
        """
        self.result_name(run, **options)  # a wrong option leaves nothing in the run
        with occupied(run), announced(run, self.name, "Reading and computing"):
            return self.run_held(run, **options)

    def run_held(self, run: Run, **options: Any) -> ExperimentResult:
        """The same for who holds the run already."""
        began = time.monotonic()
        name = self.result_name(run, **options)
        try:
            result: ExperimentResult = importlib.import_module(self.module).run(run, **options)
        except UserError as error:
            raise error.for_options(self._typed()) from error
        result = replace(result, name=name, experiment=self.name)
        result.save(run, options, time.monotonic() - began)
        return result

    def result_name(self, run: Run, **options: Any) -> str:
        """What the result is kept as: results of other scores, scorers or runs lie side by side.

        Raises:
            UserError: a wrong option, or a ``name`` that is not one of this experiment.
        """
        chosen = self.options_class().of(**options)
        if chosen.name is not None:
            if chosen.name != self.name and not chosen.name.startswith(f"{self.name}-"):
                raise UserError(f"option name: {chosen.name!r} does not begin with {self.name}-")
            return chosen.name
        parts = []
        for option in (*_TELLING, *(_RUNS if self.needs_other else ())):
            field, value = type(chosen).model_fields.get(option), getattr(chosen, option, None)
            if field is not None and value not in (field.default, None):
                values = (
                    value if isinstance(value, tuple) else (option if value is True else value,)
                )
                parts += [_run_part(run, v) if option in _RUNS else _part(v) for v in values]
        name = "-".join([self.name, *parts])
        if len(name) <= _LONGEST_NAME:
            return name
        return f"{name[: _LONGEST_NAME - 9]}-{short_hash(name)[:8]}"


def _part(value: Any) -> str:
    """A value as it can stand in a file's name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", str(value))


def _run_part(run: Run, path: Any) -> str:
    """A run's name; of one that does not lie beside ``run`` with a mark of where it does."""
    other = Path(path).resolve()
    name = _part(other.name)
    return (
        name
        if other.parent == run.path.resolve().parent
        else f"{name}.{short_hash(str(other))[:6]}"
    )


def _rows(run: Run, scores: str) -> int:
    """Rows of a scoring; 0 where it is not there."""
    return run.scoring(scores).rows if scores in run.scorings() else 0
