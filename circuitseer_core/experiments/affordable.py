"""Every experiment that a run can afford, shortest first; what is left out is said, and why.

A run that was cut off goes on: results that are newer than what they were made of are kept, and so
are those that somebody asked for with options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.experiments.experiment import CheckedOptions, Experiment, ExperimentResult
from circuitseer_core.runs.experiments import saved_results
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import Progress
from circuitseer_core.runs.stage import occupied
from circuitseer_core.wording import plain

DEFAULT = "default"
"""The scoring that the experiments take where none is named."""


class Options(CheckedOptions):
    """Options of ``validate all``."""

    scores: str | None = Field(
        None, description="which scoring; none: default, or the first there is"
    )
    seconds: float = Field(900, gt=0, description="seconds to spend, estimated, all together")
    models: bool = Field(True, description="also run those that load the model")
    again: bool = Field(
        False, description="also those whose result is kept: up to date, or of own options"
    )


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An experiment that was not run, why, and what it would take (None: not known)."""

    name: str
    why: str
    seconds: float | None = None

    def line(self) -> str:
        """For a person."""
        return f"left out {self.name}: {self.why}"


class Afforded(list[ExperimentResult]):
    """The results, and in ``left_out`` what was not run."""

    def __init__(self, results: Iterable[ExperimentResult], left_out: Iterable[LeftOut]) -> None:
        super().__init__(results)
        self.left_out = list(left_out)


def run_affordable(
    run: Run, *, say: Callable[[str], None] = lambda line: None, **options: Any
) -> tuple[list[ExperimentResult], list[LeftOut]]:
    """Run what fits, with default options on one scoring.

    Args:
        run: the run, which is held meanwhile.
        say: told every verdict as it is there, and what is left out.
        options: of :class:`Options`.

    Raises:
        UserError: no such scoring, or another process is at work in the run.
    """
    chosen = Options.of(**options)
    if chosen.scores is not None:
        run.scoring(chosen.scores)
    spent, done, left = 0.0, [], []
    planned = _planned(
        run, EXPERIMENTS.values(), chosen.scores or next(iter(run.scorings()), DEFAULT)
    )
    with (
        occupied(run),
        Progress(
            run, "validate all", len(planned), unit="experiments", phase="Experiments"
        ) as progress,
    ):
        for experiment, asking, seconds in planned:
            why = _reason(run, experiment, asking, seconds, spent, chosen)
            if why is None:
                progress.begin(f"Experiment {experiment.name}")
                progress.say(experiment.name)
                try:
                    result = experiment.run_held(run, **asking)
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


Planned = tuple[Experiment, dict[str, Any], float | None]
"""An experiment, its options, and its estimate in seconds."""


def _planned(run: Run, experiments: Iterable[Experiment], scores: str) -> list[Planned]:
    """With their options and estimates, shortest first, those of unknown length last."""
    estimated: list[Planned] = []
    for experiment in experiments:
        other = scores != DEFAULT and experiment.takes("scores")
        options = {"scores": scores} if other else {}
        try:
            seconds = experiment.estimated_seconds(run, **options)
        except UserError:  # a stage is missing: running it says which
            seconds = 0.0
        estimated.append((experiment, options, seconds))
    return sorted(estimated, key=lambda one: float("inf") if one[2] is None else one[2])


def _reason(
    run: Run,
    experiment: Experiment,
    asking: dict[str, Any],
    seconds: float | None,
    spent: float,
    options: Options,
) -> str | None:
    """Why not to run it; None where it may run."""
    if experiment.lacks_other(run):
        return f"it compares runs: name them, validate --run {run.path} {experiment.name} --set …"
    if experiment.needs_model and not options.models:
        return "it loads the model"
    if not options.again and (kept := _kept(run, experiment, asking)) is not None:
        return kept
    if seconds is None:
        return "how long it takes is not known before it was run once"
    if spent + seconds > options.seconds:
        rest = max(0.0, options.seconds - spent)
        return (
            f"about {plain(seconds, 3)} s, and {plain(rest, 3)} s of "
            f"{plain(options.seconds, 3)} are left (seconds=N gives more)"
        )
    return None


def _kept(run: Run, experiment: Experiment, asking: dict[str, Any]) -> str | None:
    """Why what is kept of it stays: options of someone's own, or newer than what it was made of."""
    name = experiment.result_name(run, **asking)
    kept = next((record for record in saved_results(run) if record.name == name), None)
    if kept is None or kept.finished is None:
        return None
    made = [run.detection.finished, *(run.scoring(s).finished for s in run.scorings())]
    newer = kept.finished > max((when for when in made if when), default="")
    if not _same_options(experiment, kept.options, asking):
        age = "" if newer else ", and older than what it was made of"
        return (
            f"its result is kept, with options of its own{age} (again=true makes it anew without "
            "them)"
        )
    return "its result is kept and up to date (again=true repeats it)" if newer else None


def _same_options(experiment: Experiment, kept: dict[str, Any], asking: dict[str, Any]) -> bool:
    """Whether both mean the same, whichever defaults are spelt out."""
    options = experiment.options_class()
    try:
        return options.of(**kept) == options.of(**asking)
    except UserError:  # options of another version
        return False
