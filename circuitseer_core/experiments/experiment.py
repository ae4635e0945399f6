"""What an experiment is, what it returns, and where that is kept."""

from __future__ import annotations

import importlib
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from circuitseer_core.checksums import is_damaged
from circuitseer_core.errors import UserError
from circuitseer_core.files import write_parquet
from circuitseer_core.json_io import jsonable
from circuitseer_core.runs.experiment_records import ExperimentRecord, Outcome, Plot
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.records import read_or_none

FOLDER = "experiments"
WITHOUT_MODEL_S = 10.0
WITHOUT_MODEL_ROW_S = 1e-4
"""Seconds that an experiment on stored numbers takes, roughly, and for every scored row more (at
40,000 rows and 3 random-head draws the slowest, transfer, took 2.4 s of one core)."""


ModelDevice = Annotated[str, Field(description="where the model runs")]
ModelDtype = Annotated[str, Field(description="run (as in detection), fp32, bf16 or fp16")]
"""Options of experiments that run the model."""


class ExperimentOptions(BaseModel):
    """Options of one experiment; text from a command line is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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


def parse_options(pairs: Sequence[str]) -> dict[str, str]:
    """``["fraction=0.2", "seed=1"]`` as options. Raises UserError where one has no ``=``."""
    options = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise UserError(f"{pair!r} is not NAME=VALUE")
        options[name.strip().replace("-", "_")] = value.strip()
    return options


def plain_option(value: Any) -> Any:
    """An option from Python as the command line gives it: runs and paths by their path, lists with
    commas."""
    if isinstance(value, Run):
        return str(value.path)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return ",".join(str(plain_option(item)) for item in value)
    return value


def default_words(field: FieldInfo) -> str:
    """An option's default as it would be typed; ``none`` where it is nothing."""
    nothing = field.default is None or field.default == ()
    return "none" if nothing else str(plain_option(field.default))


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """What an experiment found.

    Attributes:
        name: of the experiment.
        title: the question it answers.
        verdict: the answer in a few sentences, numbers included.
        numbers: what the verdict rests on, fit for JSON.
        table: the details, a row a case.
        outcome: the answer for programs, with its interval; None where it only describes.
        plots: how the table is drawn.
    """

    name: str
    title: str
    verdict: str
    numbers: dict[str, Any]
    table: pd.DataFrame
    outcome: Outcome | None = None
    plots: tuple[Plot, ...] = ()

    def save(self, run: Run, options: dict[str, Any], seconds: float | None = None) -> None:
        """Write RUN/experiments/NAME.parquet, then NAME.json (each atomically)."""
        folder = run.path / FOLDER
        write_parquet(folder / f"{self.name}.parquet", self.table)
        entry = ExperimentRecord(
            name=self.name,
            title=self.title,
            verdict=self.verdict,
            numbers=jsonable(self.numbers),
            options=jsonable(options),
            finished=now(),
            seconds=None if seconds is None else round(seconds, 1),
            outcome=self.outcome,
            plots=list(self.plots),
        )
        entry.write(folder / f"{self.name}.json")


@dataclass(frozen=True, slots=True)
class Experiment:
    """An entry of the registry; ``module`` is imported when it is run or asked for its options.

    ``needs_other``: it compares runs, and another has to be named. ``describes``: it asks nothing
    that an interval could answer with yes or no, so its results have no outcome. A module may have
    ``estimated_seconds(run, **options) -> float``, for those that take long (None: not known).
    """

    name: str
    description: str
    module: str
    needs_model: bool = False
    needs_other: bool = False
    describes: bool = False

    def options(self) -> dict[str, str]:
        """The options and what they mean."""
        return {
            name: f"{field.description} "
            + ("(needed)" if field.is_required() else f"(default: {default_words(field)})")
            for name, field in self.options_class().model_fields.items()
        }

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
            if kept.name == self.name and kept.seconds is not None:
                return kept.seconds
        if self.needs_model:
            return None
        return WITHOUT_MODEL_S + WITHOUT_MODEL_ROW_S * _rows(run, options.get("scores", "default"))

    def run(self, run: Run, **options: Any) -> ExperimentResult:
        """Run it on ``run`` and keep the result in the run folder.

        Raises:
            UserError: a stage it needs has not been run, or an option is wrong.
        """
        began = time.monotonic()
        result: ExperimentResult = importlib.import_module(self.module).run(run, **options)
        result.save(run, options, time.monotonic() - began)
        return result


def _rows(run: Run, scores: str) -> int:
    """Rows of a scoring; 0 where it is not there."""
    return run.scoring(scores).rows if scores in run.scorings() else 0


def saved_results(run: Run) -> list[ExperimentRecord]:
    """The experiments kept in a run, by name; unreadable ones are left out."""
    paths = sorted((run.path / FOLDER).glob("*.json"))
    kept = (read_or_none(ExperimentRecord, path) for path in paths)
    return [record for record in kept if record is not None]


def saved_table(run: Run, name: str) -> pd.DataFrame:
    """The table kept of an experiment; empty where there is none, or one that is damaged."""
    path = run.path / FOLDER / f"{name}.parquet"
    if is_damaged(path):
        return pd.DataFrame()
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError):
        return pd.DataFrame()
