"""The command line: one command a stage, thin over the library.

Typer parses, pydantic validates, the stages work; a :class:`UserError` becomes one line on stderr
and exit code 1, a cancelled stage exit code 130. Heavy imports stay inside the commands, so that
``--help`` and ``select`` need no torch.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from circuitseer_core import __version__
from circuitseer_core.cli import options as opt
from circuitseer_core.cli import study as cli_study
from circuitseer_core.cli.app import app as open_app
from circuitseer_core.cli.options import quiet_libraries
from circuitseer_core.errors import Cancelled, UserError

app = typer.Typer(
    name="circuitseer",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Settings = TypeVar("Settings", bound=BaseModel)


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
            current = word if word in opt.REPEATABLE else None
        elif current is not None and spread[-1] != current:
            spread.append(current)
        spread.append(word)
    return spread


def build(kind: Callable[..., Settings], **options: Any) -> Settings:
    """Validated settings; the first problem becomes one line."""
    try:
        return kind(**options)
    except ValidationError as error:
        first = error.errors()[0]
        where = "--" + "-".join(str(p).replace("_", "-") for p in first["loc"]) + ": "
        text = first["msg"].removeprefix("Value error, ")
        raise UserError((where if first["loc"] else "") + text) from error


def command_line() -> str:
    """This process's command, as a person would type it."""
    return shlex.join(["python", "-m", "circuitseer_core", *sys.argv[1:]])


@app.command()
def detect(
    run: opt.Run,
    probe: opt.Data,
    model: Annotated[str, typer.Option(help="A Hub id, a local folder, or demo.")],
    contrast: Annotated[list[str] | None, typer.Option(help="Data for the contrast set.")] = None,
    probe_size: Annotated[int, typer.Option(help="Samples in the probe.")] = 300,
    probe_pool: Annotated[int, typer.Option(help="Random samples it is chosen from.")] = 2000,
    probe_criterion: Annotated[str, typer.Option(help="loss, random or stratified.")] = "loss",
    mode: Annotated[str, typer.Option(help="exact, or racing (about a fifth of the work).")] = (
        "exact"
    ),
    rank_by: opt.RankBy = "importance",
    template: Annotated[str, typer.Option(help="auto, chat or plain.")] = "auto",
    loss_tokens: Annotated[str, typer.Option(help="response, or all.")] = "response",
    ablation: Annotated[str, typer.Option(help="uniform, zero, mean or scaled.")] = "uniform",
    epsilon: Annotated[float, typer.Option(help="Logit factor of --ablation scaled.")] = 0.0,
    max_length: opt.MaxLength = None,
    dtype: opt.Dtype = "auto",
    device: opt.Device = "auto",
    revision: Annotated[str | None, typer.Option(help="Revision of a Hub model.")] = None,
    seed: opt.Seed = 0,
    prompt_field: opt.PromptField = None,
    response_field: opt.ResponseField = None,
    source_field: opt.SourceField = None,
    id_field: opt.IdField = None,
    quiet: opt.Quiet = False,
) -> None:
    """Stage 1: ablate every attention head and measure how much the probe's loss rises."""
    options = {k: v for k, v in locals().items() if k not in ("run", "quiet", "contrast")}
    from circuitseer_core.detection.settings import DetectSettings

    settings = build(DetectSettings, **options, contrast=contrast or [])
    from circuitseer_core.detection.detect import detect as measure
    from circuitseer_core.runs.folder import Run
    from circuitseer_core.runs.stage import working

    quiet_libraries()
    folder = Run.create(run)
    try:
        with working(folder, "detect", command_line()):
            heads = measure(folder, settings, show=not quiet)
    finally:
        folder.discard_if_empty()
    top = heads.nsmallest(5, "rank")
    named = ", ".join(f"({h.layer},{h.head}) {h.importance:+.3f}" for h in top.itertuples())
    typer.echo(f"{len(heads)} heads measured; largest loss increases in nats: {named}")
    typer.echo(f"next: python -m circuitseer_core score --run {run} --data …")


@app.command()
def score(
    run: opt.Run,
    data: opt.Data,
    name: opt.SetName = "default",
    text: Annotated[str, typer.Option(help="prompt, response or full.")] = "prompt",
    heads: Annotated[str, typer.Option(help='0.05, 14, lcb, "l.h,l.h" or @FILE.')] = "0.05",
    rank_by: opt.RankBy = "importance",
    baselines: Annotated[bool, typer.Option(help="Perplexity and IFD too.")] = False,
    max_length: opt.MaxLength = None,
    dtype: opt.Dtype = "auto",
    device: opt.Device = "auto",
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
    ray_address: Annotated[str | None, typer.Option(help="Address of a Ray cluster.")] = None,
    seed: opt.Seed = 0,
    prompt_field: opt.PromptField = None,
    response_field: opt.ResponseField = None,
    source_field: opt.SourceField = None,
    id_field: opt.IdField = None,
    quiet: opt.Quiet = False,
) -> None:
    """Stage 2: score every sample by the attention of the reasoning heads."""
    options = {k: v for k, v in locals().items() if k not in ("run", "quiet")}
    from circuitseer_core.scoring.settings import ScoreSettings

    settings = build(ScoreSettings, **options)
    from circuitseer_core.runs.folder import Run
    from circuitseer_core.runs.stage import working
    from circuitseer_core.scoring.score import score as score_run

    quiet_libraries()
    folder = Run.open(run)
    with working(folder, "score", command_line()):
        result = score_run(folder, settings, progress=not quiet)
    typer.echo(f"{result.rows:,} samples scored, {result.rejected:,} rejected")
    typer.echo(f"next: python -m circuitseer_core select --run {run}")


@app.command()
def select(
    run: opt.Run,
    scores: Annotated[str, typer.Option(help="Which scoring.")] = "default",
    scorer: Annotated[str, typer.Option(help="Which score column.")] = "variance",
    fraction: Annotated[float | None, typer.Option(help="Share of the pool (0.1).")] = None,
    count: Annotated[int | None, typer.Option(help="Number of samples.")] = None,
    tokens: Annotated[int | None, typer.Option(help="Token budget.")] = None,
    token_field: Annotated[str, typer.Option(help="prompt, response or both.")] = "prompt",
    temperature: Annotated[
        float, typer.Option(help="0 is top-k, 1 the paper's, inf uniform.")
    ] = 1.0,
    target_ess: Annotated[
        float | None, typer.Option(help="Choose the temperature by ESS / N.")
    ] = None,
    length_control: Annotated[str, typer.Option(help="none or within-bins.")] = "none",
    stratify: Annotated[str, typer.Option(help="none, proportional or equal, by source.")] = "none",
    max_per_source: Annotated[int | None, typer.Option(help="Cap per source.")] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="File of ids or texts to leave out.")
    ] = None,
    include: Annotated[list[str] | None, typer.Option(help="File of ids or texts to take.")] = None,
    exclude_tag: Annotated[list[str] | None, typer.Option(help="Leave out tagged samples.")] = None,
    include_tag: Annotated[list[str] | None, typer.Option(help="Take tagged samples.")] = None,
    duplicates: Annotated[str, typer.Option(help="remove or keep equal prompts.")] = "remove",
    review: Annotated[bool, typer.Option(help="Honour pins and drops made by eye.")] = True,
    seed: opt.Seed = 0,
    name: Annotated[str, typer.Option(help="Name of this selection.")] = "default",
) -> None:
    """Stage 3: draw the subset by soft sampling."""
    options = {k: v for k, v in locals().items() if k != "run"}
    for plural, single in (("exclude_tags", "exclude_tag"), ("include_tags", "include_tag")):
        options[plural] = tuple(options.pop(single) or ())
    for lists in ("exclude", "include"):
        options[lists] = tuple(options[lists] or ())
    from circuitseer_core.runs.folder import Run
    from circuitseer_core.runs.stage import working
    from circuitseer_core.selection.select_run import select_run
    from circuitseer_core.selection.settings import SelectionSettings

    settings = SelectionSettings.of(**options)
    folder = Run.open(run)
    with working(folder, "select", command_line()):
        result = select_run(folder, settings)
    typer.echo(f"{result.counts.selected:,} samples selected ({result.counts.tokens:,} tokens)")
    typer.echo(f"next: python -m circuitseer_core export --run {run} --selection {name} --out …")


@app.command()
def export(
    run: opt.Run,
    out: Annotated[Path, typer.Option(help="File or folder to write.", show_default=False)],
    selection: Annotated[
        str | None, typer.Option(help="Which selection; the latest where not given.")
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="jsonl, parquet, datasets or messages.")
    ] = None,
    push: Annotated[str | None, typer.Option(help="Hub dataset repository, owner/name.")] = None,
) -> None:
    """Write a selection out, with its manifest and dataset card."""
    from circuitseer_core.export.rows import FORMATS
    from circuitseer_core.export.write import export as write
    from circuitseer_core.runs.folder import Run

    if format is not None and format not in FORMATS:
        raise UserError(f"--format {format}: choose {', '.join(FORMATS)}")
    done = write(Run.open(run), selection, out, format, push)
    for note in done.notes:
        typer.echo(note)
    typer.echo(f"{done.rows:,} samples in {done.path}; manifest {done.manifest}, card {done.card}")
    if done.address:
        typer.echo(f"pushed to {done.address}")


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="The exported file or folder.")],
    run: Annotated[Path | None, typer.Option(help="The run folder, where it has moved.")] = None,
) -> None:
    """Derive an exported subset again from its manifest; exit 1 on any difference."""
    from circuitseer_core.export.verify import verify as check

    result = check(path, run)
    for note in result.notes:
        typer.echo(f"note: {note}")
    for message in result.messages:
        typer.secho(f"differs: {message}", err=True, fg="red")
    if not result.ok:
        raise typer.Exit(1)
    typer.echo(f"verified: {result.rows:,} rows derived again, nothing differs")


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
for study in cli_study.COMMANDS:
    app.command()(study)
