"""What an experiment is, what it returns, and where that is kept."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from circuitseer_core.errors import UserError
from circuitseer_core.files import write_json, write_parquet
from circuitseer_core.json_io import jsonable, parse_json
from circuitseer_core.runs.folder import Run, now

FOLDER = "experiments"


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


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """What an experiment found.

    Attributes:
        name: of the experiment.
        title: the question it answers.
        verdict: the answer in a few sentences, numbers included.
        numbers: what the verdict rests on, fit for JSON.
        table: the details, a row a case.
    """

    name: str
    title: str
    verdict: str
    numbers: dict[str, Any]
    table: pd.DataFrame

    def save(self, run: Run, options: dict[str, Any]) -> None:
        """Write RUN/experiments/NAME.parquet, then NAME.json (each atomically)."""
        folder = run.path / FOLDER
        write_parquet(folder / f"{self.name}.parquet", self.table)
        entry = {
            "name": self.name,
            "title": self.title,
            "verdict": self.verdict,
            "numbers": jsonable(self.numbers),
            "options": jsonable(options),
            "finished": now(),
        }
        write_json(folder / f"{self.name}.json", entry)


@dataclass(frozen=True, slots=True)
class Experiment:
    """An entry of the registry; ``module`` is imported when it is run or asked for its options."""

    name: str
    description: str
    module: str

    def options(self) -> dict[str, str]:
        """The options and what they mean."""
        model: type[ExperimentOptions] = importlib.import_module(self.module).Options
        return {
            name: f"{field.description} (default: {field.default})"
            for name, field in model.model_fields.items()
        }

    def run(self, run: Run, **options: Any) -> ExperimentResult:
        """Run it on ``run`` and keep the result in the run folder.

        Raises:
            UserError: a stage it needs has not been run, or an option is wrong.
        """
        result: ExperimentResult = importlib.import_module(self.module).run(run, **options)
        result.save(run, options)
        return result


def saved_results(run: Run) -> list[dict[str, Any]]:
    """The JSON entries of the experiments kept in a run, by name; unreadable ones are left out."""
    results = []
    for path in sorted((run.path / FOLDER).glob("*.json")):
        try:
            entry = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(entry, dict) and "verdict" in entry:
            results.append(entry)
    return results
