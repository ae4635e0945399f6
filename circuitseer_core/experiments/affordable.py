"""Every experiment that a run can afford, shortest first; what is left out is said, and why.

A run that was cut off goes on: results that are newer than what they were made of are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.experiments.experiment import (
    Experiment,
    ExperimentOptions,
    ExperimentResult,
    saved_results,
)
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import Progress
from circuitseer_core.wording import plain


class Options(ExperimentOptions):
    """Options of ``validate all``."""

    seconds: float = Field(900, gt=0, description="seconds to spend, estimated, all together")
    models: bool = Field(True, description="also run those that load the model")
    again: bool = Field(False, description="also those whose kept result is up to date")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An experiment that was not run, why, and what it would take (None: not known)."""

    name: str
    why: str
    seconds: float | None = None

    def line(self) -> str:
        """For a person."""
        return f"left out {self.name}: {self.why}"


def run_affordable(
    run: Run, *, say: Callable[[str], None] = lambda line: None, **options: Any
) -> tuple[list[ExperimentResult], list[LeftOut]]:
    """Run what fits, with default options.

    Args:
        run: the run.
        say: told every verdict as it is there, and what is left out.
        options: of :class:`Options`.
    """
    chosen = Options.of(**options)
    spent, done, left = 0.0, [], []
    planned = _planned(run, EXPERIMENTS.values())
    with Progress(
        run, "validate all", len(planned), unit="experiments", phase="Experiments"
    ) as progress:
        for experiment, seconds in planned:
            why = _reason(run, experiment, seconds, spent, chosen)
            if why is None:
                progress.begin(f"Experiment {experiment.name}")
                progress.say(experiment.name)
                try:
                    result = experiment.run(run)
                    done.append(result)
                    spent += seconds or 0.0
                    say(f"{result.title}\n{result.verdict}\n")
                except UserError as error:
                    why = str(error)
            if why is not None:
                left.append(LeftOut(experiment.name, why, seconds))
                say(left[-1].line())
            progress.advance(1)
    return done, left


def _planned(run: Run, experiments: Iterable[Experiment]) -> list[tuple[Experiment, float | None]]:
    """With their estimates, shortest first, those of unknown length last."""
    estimated = []
    for experiment in experiments:
        try:
            estimated.append((experiment, experiment.estimated_seconds(run)))
        except UserError:  # a stage is missing: running it says which
            estimated.append((experiment, 0.0))
    return sorted(estimated, key=lambda pair: float("inf") if pair[1] is None else pair[1])


def _reason(
    run: Run, experiment: Experiment, seconds: float | None, spent: float, options: Options
) -> str | None:
    """Why not to run it; None where it may run."""
    if experiment.needs_other:
        return f"it compares runs: name them, validate --run {run.path} {experiment.name} --set …"
    if experiment.needs_model and not options.models:
        return "it loads the model"
    if not options.again and _up_to_date(run, experiment.name):
        return "its result is kept and up to date (again=true repeats it)"
    if seconds is None:
        return "how long it takes is not known before it was run once"
    if spent + seconds > options.seconds:
        rest = max(0.0, options.seconds - spent)
        return (
            f"about {plain(seconds, 3)} s, and {plain(rest, 3)} s of "
            f"{plain(options.seconds, 3)} are left (seconds=N gives more)"
        )
    return None


def _up_to_date(run: Run, name: str) -> bool:
    """Whether a default result is newer than detection and every scoring."""
    kept = next((record for record in saved_results(run) if record.name == name), None)
    if kept is None or kept.finished is None or kept.options:
        return False
    made = [run.detection.finished, *(run.scoring(s).finished for s in run.scorings())]
    return kept.finished > max((when for when in made if when), default="")
