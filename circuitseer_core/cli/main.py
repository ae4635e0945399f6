"""The command line: one command a stage, thin over the library.

Typer parses, pydantic validates, the stages work; a :class:`UserError` becomes one line on stderr
and exit code 1, a cancelled stage exit code 130. Heavy imports stay inside the commands, so that
``--help`` and ``select`` need no torch.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from circuitseer_core import __version__, api
from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.cli import heads_hub
from circuitseer_core.cli import options as opt
from circuitseer_core.cli import study as cli_study
from circuitseer_core.cli.app import app as open_app
from circuitseer_core.cli.from_settings import repeatable, takes
from circuitseer_core.cli.options import quiet_libraries
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import Cancelled, UserError
from circuitseer_core.export.formats import FORMATS
from circuitseer_core.runs.commands import as_typed
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection.settings import SelectionSettings

app = typer.Typer(
    name="circuitseer",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
REPEATABLE = opt.REPEATABLE.union(
    *(
        repeatable(kind)
        for kind in (
            *(DetectSettings, ScoreSettings, CalibrateSettings, SelectionSettings, ArmsSettings),
        )
    )
)
"""Options that may be given several times, or several values at once."""


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"circuitseer {__version__}")
        raise typer.Exit


@app.callback()
def circuitseer(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Its number.")
    ] = False,
) -> None:
    """Find a model's reasoning heads, score every sample by them, draw the subset."""


def main() -> None:
    """Entry point: run a command; failures a person can mend are one line."""
    try:
        app(spread_values(sys.argv[1:]))
    except UserError as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        sys.exit(1)
    except (Cancelled, KeyboardInterrupt) as stop:
        typer.secho(str(stop) or "cancelled", err=True, fg="yellow")
        sys.exit(130)


def spread_values(words: Sequence[str]) -> list[str]:
    """Let repeatable options take several values at once: ``--data A B`` is ``--data A --data B``.

    Typer has no such option; without this a shell glob would need one ``--data`` a file.
    """
    spread: list[str] = []
    current: str | None = None
    for word in words:
        if word.startswith("--"):
            current = word if word in REPEATABLE else None
        elif current is not None and spread[-1] != current:
            spread.append(current)
        spread.append(word)
    return spread


def command_line() -> str:
    """This process's command, as a person would type it."""
    return as_typed(sys.argv[1:])


@app.command()
@takes(DetectSettings)
def detect(run: opt.Run, settings: DetectSettings, quiet: opt.Quiet = False) -> None:
    """Stage 1: ablate every attention head and measure how much the probe's loss rises."""
    quiet_libraries()
    folder = api.run_detection(run, settings, command=command_line(), show=not quiet)
    from circuitseer_core.signatures.head_checks import short_probe

    heads = folder.heads()
    top = heads.nsmallest(5, "rank")
    named = ", ".join(f"({h.layer},{h.head}) {h.importance:+.3f}" for h in top.itertuples())
    typer.echo(f"{len(heads)} heads measured; largest loss increases in nats: {named}")
    if short := short_probe(folder.detection):
        typer.echo(short)
    typer.echo(f"next: {as_typed(['score', '--run', str(run), '--data'])} …")


@app.command()
@takes(ScoreSettings)
def score(run: opt.Run, settings: ScoreSettings, quiet: opt.Quiet = False) -> None:
    """Stage 2: score every sample by the attention of the reasoning heads."""
    quiet_libraries()
    scoring = api.run_scoring(run, settings, command=command_line(), show=not quiet)
    typer.echo(f"{scoring.rows:,} samples scored, {scoring.rejected:,} rejected")
    if settings.heads == "lcb":
        from circuitseer_core.detection.heads import lcb_by_chance
        from circuitseer_core.runs.folder import Run

        chance = lcb_by_chance(Run.open(run).heads())
        typer.echo(
            f"{len(scoring.heads)} heads pass --heads lcb; without any effect {chance:.1f} would "
            "(--heads bh bounds the share of false ones by 5 %)"
        )
    named = [] if settings.name == "default" else ["--scores", settings.name]
    typer.echo(f"next: {as_typed(['select', '--run', str(run), *named])}")


@app.command()
@takes(CalibrateSettings)
def calibrate(run: opt.Run, settings: CalibrateSettings, quiet: opt.Quiet = False) -> None:
    """Beyond the paper: fit every head's readings to your own measure of difficulty."""
    record = api.run_calibration(run, settings, command=command_line(), show=not quiet)
    if settings.apply is not None:
        typer.echo(f"scoring {settings.apply!r} has the scorer calibrated")
        return
    from circuitseer_core.calibration.report import table
    from circuitseer_core.runs.folder import Run

    typer.echo(table(record).to_string(index=False))
    for sentence in record.verdict:
        typer.echo(sentence)
    if Run.open(run).scoring(settings.scores).calibration is None:
        typer.echo(
            "for the scorer on every row: python -m circuitseer_core score "
            f"--run {run} --calibration {settings.name} --name … --data …"
        )
    else:
        typer.echo(
            f"next: python -m circuitseer_core select --run {run} "
            f"--scores {settings.scores} --scorer calibrated"
        )


@app.command()
@takes(SelectionSettings)
def select(
    run: opt.Run,
    settings: SelectionSettings,
    replace: Annotated[
        bool, typer.Option("--replace", help="A draw of this name with other settings gives way.")
    ] = False,
) -> None:
    """Stage 3: draw the subset by soft sampling."""
    selection = api.run_selection(run, settings, command=command_line(), replace=replace)
    counts = selection.counts
    typer.echo(f"{counts.selected:,} samples selected ({counts.tokens:,} tokens)")
    for line in api.removals(run, selection):
        typer.echo(line)
    typer.echo(api.decision(run, selection))
    typer.echo(
        "next: "
        + as_typed(["export", "--run", str(run), "--selection", settings.name, "--out"])
        + " …"
    )


@app.command()
def export(
    run: opt.Run,
    out: Annotated[Path, typer.Option(help="File or folder to write.", show_default=False)],
    selection: Annotated[
        str | None, typer.Option(help="Which selection; the latest where not given.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(metavar=f"<{'|'.join(FORMATS)}>", help="By default what --out ends in."),
    ] = None,
    push: Annotated[str | None, typer.Option(help="Hub dataset repository, owner/name.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every scored row with every score, no selection.")
    ] = False,
    scores: Annotated[str | None, typer.Option(help="Which scoring, with --all.")] = None,
) -> None:
    """Write a selection, or with --all the whole scored pool, with manifest and dataset card."""
    from circuitseer_core.export.write import export as write
    from circuitseer_core.export.write import export_all
    from circuitseer_core.runs.folder import Run

    form = next((known for known in FORMATS if known == format), None)
    if format is not None and form is None:
        raise UserError(f"--format {format}: choose {', '.join(FORMATS)}")
    if everything and selection is not None:
        raise UserError("give --selection or --all, not both")
    if scores is not None and not everything:
        raise UserError("--scores goes with --all: a selection knows its scoring")
    if everything:
        done = export_all(Run.open(run), scores or "default", out, form, push)
    else:
        done = write(Run.open(run), selection, out, form, push)
    for note in done.notes:
        typer.echo(note)
    typer.echo(f"{done.rows:,} samples in {done.path}; manifest {done.manifest}, card {done.card}")
    if done.address:
        typer.echo(f"pushed to {done.address}")


@app.command()
@takes(ArmsSettings)
def arms(
    run: opt.Run,
    out: Annotated[Path, typer.Option(help="Folder to write.", show_default=False)],
    settings: ArmsSettings,
    quiet: opt.Quiet = False,
) -> None:
    """The subsets that a draw has to beat, at one budget, each exported and verified."""
    from circuitseer_core.arms.build import build_arms, summary
    from circuitseer_core.runs.folder import Run

    record = build_arms(Run.open(run), out, settings, command=command_line(), show=not quiet)
    table = summary(record)[["label", "rows", "tokens", "mean_tokens", "mean_score"]]
    typer.echo(table.round(3).to_string(index=False))
    typer.echo(f"{len(record.arms)} arms in {out}; overlaps and sources in {out / 'summary.csv'}")


@app.command()
def verify(
    path: Annotated[Path | None, typer.Argument(help="The exported file or folder.")] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="The run folder, where it has moved; alone: check its own files."),
    ] = None,
) -> None:
    """Derive an exported subset again from its manifest, or check a run's files; exit 1 on any
    difference."""
    if path is None:
        _verify_run(run)
        return
    from circuitseer_core.export.verify import verify as check

    result = check(path, run)
    for note in result.notes:
        typer.echo(f"note: {note}")
    for message in result.messages:
        typer.secho(f"differs: {message}", err=True, fg="red")
    if not result.ok:
        raise typer.Exit(1)
    typer.echo(f"verified: {result.rows:,} rows derived again, nothing differs")


def _verify_run(path: Path | None) -> None:
    from circuitseer_core.runs.folder import Run
    from circuitseer_core.runs.integrity import check_run

    if path is None:
        raise UserError("say what to verify: an exported file or folder, or --run RUN")
    result = check_run(Run.open(path).path)
    if result.unsigned:
        typer.echo(f"note: {result.unsigned} files carry no checksum (made before there were any)")
    for damage in result.damaged:
        typer.secho(f"damaged: {damage.file}: {damage.remedy}", err=True, fg="red")
    if not result.ok:
        raise typer.Exit(1)
    typer.echo(f"verified: {result.whole} files are as they were written")


@app.command()
def demo(
    run: Annotated[Path | None, typer.Option(help="Where; ./runs/demo by default.")] = None,
) -> None:
    """Detect, score, select and export on the embedded model and data."""
    from circuitseer_core.cli.demo import run_demo
    from circuitseer_core.runs.folder import runs_home

    quiet_libraries()
    for line in run_demo(run or runs_home() / "demo", command=command_line()):
        typer.echo(line)


app.command("app")(open_app)
for command in (*cli_study.COMMANDS, *heads_hub.COMMANDS):
    app.command()(command)
