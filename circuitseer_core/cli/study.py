"""Commands that look at a run rather than make one: ablate, inspect, validate, report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from circuitseer_core.cli import options as opt
from circuitseer_core.cli.from_settings import takes
from circuitseer_core.cli.options import quiet_libraries
from circuitseer_core.cli.output import Outcome, json_text, say, telling
from circuitseer_core.detection.ablate_settings import AblateSettings
from circuitseer_core.errors import UserError
from circuitseer_core.installation import require_extra
from circuitseer_core.runs.option_lists import joined

if TYPE_CHECKING:
    from circuitseer_core.experiments.experiment import ExperimentResult
    from circuitseer_core.runs.folder import Run


@takes(AblateSettings)
def ablate(
    run: opt.Run,
    heads: Annotated[list[str], typer.Option(help='A set of heads, "l.h,l.h"; repeatable.')],
    settings: AblateSettings,
) -> None:
    """Loss with several heads ablated at once, on any data."""
    from circuitseer_core.detection.joint import ablate_sets

    quiet_libraries()
    for line in ablate_sets(run, heads, settings):
        say(line)


def inspect(
    run: opt.Run,
    id: Annotated[str, typer.Option(help="The sample's id.")],
    layer: Annotated[int | None, typer.Option(help="One head's layer.")] = None,
    head: Annotated[int | None, typer.Option(help="One head's index.")] = None,
    name: opt.SetName = "default",
    allow_pickle: opt.AllowPickle = False,
) -> None:
    """One sample's attention under the reasoning heads, as JSON."""
    from circuitseer_core.model.loading import pickle_allowed
    from circuitseer_core.runs.folder import Run
    from circuitseer_core.scoring.inspection import inspect_sample

    quiet_libraries()
    with pickle_allowed(allow_pickle):
        inspection = inspect_sample(Run.open(run), id, name=name, layer=layer, head=head)
    typer.echo(json_text(inspection.to_json()))


def validate(
    experiment: Annotated[
        str, typer.Argument(help="Which; 'all' runs those it can afford, 'list' names them.")
    ],
    run: Annotated[
        Path | None, typer.Option("--run", help="The run folder.", show_default=False)
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option(help="Run folders to compare; the first keeps the result."),
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="An option of the experiment; repeatable."),
    ] = None,
    quiet: opt.Quiet = False,
    json: opt.Json = False,
) -> None:
    """Run a validation experiment and say what it found."""
    from circuitseer_core.experiments import ALL, EXPERIMENTS, experiment_of, parse_options
    from circuitseer_core.experiments.affordable import run_affordable
    from circuitseer_core.runs.folder import Run

    if experiment == "list":
        for name, entry in EXPERIMENTS.items():
            typer.echo(f"{name:16} {entry.description}")
            for option, meaning in entry.options().items():
                typer.echo(f"{'':16}   {option}: {meaning}")
        return
    options = parse_options(set or [])
    folders = [*([run] if run else []), *(runs or [])]
    if not folders:
        raise UserError("give the run folder: --run RUN")
    if len(folders) > 1:
        options |= _others(experiment, [str(path) for path in folders[1:]])
    opened = Run.open(folders[0])
    with telling(quiet, json) as tell:
        if experiment == ALL:
            heard = _nothing if quiet else say
            done, left_out = run_affordable(opened, say=heard, **options)
            facts = {
                "command": "validate",
                "run": str(opened.path),
                "done": [_facts_of(result) for result in done],
                "left_out": [asdict(one) for one in left_out],
            }
            tell(lambda: Outcome(facts, []))
            return
        result = experiment_of(experiment).run(opened, **options)
        tell(lambda: _validated(opened, result))


def _validated(run: Run, result: ExperimentResult) -> Outcome:
    facts = {"command": "validate", "run": str(run.path), **_facts_of(result)}
    words = f"{result.title}\n{result.verdict}\n"
    return Outcome(facts, [words, result.table.to_string(index=False)])


def _facts_of(result: ExperimentResult) -> dict[str, Any]:
    return {
        "experiment": result.experiment or result.name,
        "name": result.name,
        "title": result.title,
        "verdict": result.verdict,
        "numbers": result.numbers,
        "outcome": result.outcome.to_json() if result.outcome else None,
        "table": result.table.to_dict("records"),
    }


def _nothing(line: str) -> None:
    """What ``say`` is where nobody wants to hear."""


def _others(experiment: str, others: list[str]) -> dict[str, str]:
    """The option that names the runs to compare with. Raises UserError where there is none."""
    from circuitseer_core.experiments import EXPERIMENTS

    known = EXPERIMENTS.get(experiment)
    takes = known.options_class().model_fields if known and known.needs_other else {}
    if "others" in takes:
        return {"others": joined(others)}
    if "other" in takes and len(others) == 1:
        return {"other": others[0]}
    raise UserError(f"{experiment} looks at one run: give --run alone (transfer: two runs)")


def report(
    run: opt.Run,
    out: Annotated[Path, typer.Option(help="The HTML file.", show_default=False)],
    scores: Annotated[
        str | None, typer.Option(help="Which scoring; default, or the first there is.")
    ] = None,
    selection: Annotated[
        str | None, typer.Option(help="Which selection; the newest of that scoring.")
    ] = None,
    quiet: opt.Quiet = False,
    json: opt.Json = False,
) -> None:
    """One self-contained HTML page about a run."""
    require_extra("app", "the report", "plotly")  # before the import that needs it
    from circuitseer_core.report.report import report as write
    from circuitseer_core.runs.folder import Run

    with telling(quiet, json) as tell:
        write(Run.open(run), out, scoring=scores, selection=selection)
        facts = {"command": "report", "run": str(run), "path": str(out)}
        tell(lambda: Outcome(facts, [f"report: {out}"]))


COMMANDS = (ablate, inspect, validate, report)
