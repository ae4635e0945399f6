"""The commands that make a run: detect, score, calibrate, cluster, import-scores, select."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from circuitseer_core import stages
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.cli import options as opt
from circuitseer_core.cli.from_settings import takes
from circuitseer_core.cli.options import command_line, quiet_libraries
from circuitseer_core.cli.output import Outcome, telling
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.runs.calibration_records import CalibrationRecord
from circuitseer_core.runs.commands import as_typed
from circuitseer_core.runs.folder import SETTINGS_FILE, Run
from circuitseer_core.scoring.cluster_settings import ClusterSettings
from circuitseer_core.scoring.import_scores import ImportSettings, imported_folder
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection.settings import SelectionSettings


@takes(DetectSettings)
def detect(
    run: opt.Run, settings: DetectSettings, quiet: opt.Quiet = False, json: opt.Json = False
) -> None:
    """Stage 1: ablate every head, measure the loss increase."""
    with telling(quiet, json) as tell:
        quiet_libraries()
        folder = stages.run_detection(run, settings, command=command_line(), show=not quiet)
        from circuitseer_core.cli.outcomes import detected

        tell(lambda: detected(folder))


@takes(ScoreSettings)
def score(
    run: opt.Run, settings: ScoreSettings, quiet: opt.Quiet = False, json: opt.Json = False
) -> None:
    """Stage 2: score every sample by those heads' attention."""
    with telling(quiet, json) as tell:
        quiet_libraries()
        stages.run_scoring(run, settings, command=command_line(), show=not quiet)
        from circuitseer_core.cli.outcomes import scored

        tell(lambda: scored(Run.open(run), settings.name))


@takes(CalibrateSettings)
def calibrate(
    run: opt.Run,
    settings: CalibrateSettings,
    replace: Annotated[
        bool, typer.Option("--replace", help="A fit of this name gives way to another.")
    ] = False,
    quiet: opt.Quiet = False,
    json: opt.Json = False,
) -> None:
    """Beyond the paper: fit heads to a measure of difficulty."""
    with telling(quiet, json) as tell:
        record = stages.run_calibration(
            run, settings, command=command_line(), show=not quiet, replace=replace
        )
        tell(lambda: _calibrated(Run.open(run), settings, record))


def _calibrated(run: Run, settings: CalibrateSettings, record: CalibrationRecord) -> Outcome:
    from circuitseer_core.calibration.report import table
    from circuitseer_core.calibration.scorer import fits_hash

    facts: dict[str, Any] = {"command": "calibrate", "run": str(run.path), "name": settings.name}
    if settings.apply is not None:
        line = f"scoring {settings.apply!r} has the scorer calibrated"
        return Outcome(facts | {"applied_to": settings.apply}, [line])
    compared = table(record)
    applied = run.scoring(settings.scores).calibration
    if applied is not None and applied.sha256 == fits_hash(record):
        words = ["select", "--run", str(run.path), "--scores", settings.scores]
        following = f"next: {as_typed([*words, '--scorer', 'calibrated'])}"
    else:
        words = ["score", "--run", str(run.path), "--calibration", settings.name, "--name"]
        following = f"for the scorer on every row: {as_typed(words)} … --data …"
    facts |= {
        "verdict": record.verdict,
        "comparison": compared.to_dict("records"),
        "settings": str(run.calibration_dir(settings.name) / SETTINGS_FILE),
    }
    return Outcome(facts, [compared.to_string(index=False), *record.verdict, following])


@takes(ClusterSettings)
def cluster(
    run: opt.Run,
    settings: ClusterSettings,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Clusters that a draw needs give way to others."),
    ] = False,
    quiet: opt.Quiet = False,
    json: opt.Json = False,
) -> None:
    """Group prompts by kind, for a draw that keeps all kinds."""
    with telling(quiet, json) as tell:
        quiet_libraries()
        record = stages.run_clustering(
            run, settings, command=command_line(), show=not quiet, replace=replace
        )
        from circuitseer_core.cli.outcomes import clustered

        tell(lambda: clustered(run, settings.scores, record))


@takes(ImportSettings)
def import_scores(
    files: Annotated[list[str], typer.Argument(help="Rows with an id or a prompt, and numbers.")],
    run: opt.Run,
    settings: ImportSettings,
    quiet: opt.Quiet = False,
    json: opt.Json = False,
) -> None:
    """Join scores made elsewhere to a scoring, as scorers."""
    with telling(quiet, json) as tell:
        record, lines = stages.run_import(run, files, settings, command=command_line())
        folder = imported_folder(Run.open(run), settings.scores, record)
        facts = {"command": "import-scores", "run": str(run), **record.to_json()}
        facts |= {"settings": str(folder / SETTINGS_FILE)}
        tell(lambda: Outcome(facts, lines))


@takes(SelectionSettings)
def select(
    run: opt.Run,
    settings: SelectionSettings,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="A draw of this name gives way to another."),
    ] = False,
    quiet: opt.Quiet = False,
    json: opt.Json = False,
) -> None:
    """Stage 3: draw the subset by soft sampling."""
    with telling(quiet, json) as tell:
        selection = stages.run_selection(run, settings, command=command_line(), replace=replace)
        from circuitseer_core.cli.outcomes import drawn

        tell(lambda: drawn(Run.open(run), selection))


COMMANDS = (detect, score, calibrate, cluster, import_scores, select)
