"""The commands that hand a subset out, or check it: export, arms, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.cli import options as opt
from circuitseer_core.cli.from_settings import takes
from circuitseer_core.cli.options import command_line
from circuitseer_core.cli.output import Outcome, say, telling
from circuitseer_core.errors import UserError
from circuitseer_core.export.formats import FORMATS
from circuitseer_core.runs.folder import SETTINGS_FILE, Run
from circuitseer_core.wording import count


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
    keep_formulas: Annotated[
        bool,
        typer.Option(
            "--keep-formulas", help="In CSV, leave cells as they are that a spreadsheet would run."
        ),
    ] = False,
    quiet: opt.Quiet = False,
    json: opt.Json = False,
) -> None:
    """Write a selection, or with --all the whole scored pool."""
    from circuitseer_core.export.write import export as write
    from circuitseer_core.export.write import export_all

    form = next((known for known in FORMATS if known == format), None)
    if format is not None and form is None:
        raise UserError(f"--format {format}: choose {', '.join(FORMATS)}")
    if everything and selection is not None:
        raise UserError("give --selection or --all, not both")
    if scores is not None and not everything:
        raise UserError("--scores goes with --all: a selection knows its scoring")
    with telling(quiet, json) as tell:
        if everything:
            done = export_all(
                Run.open(run), scores or "default", out, form, push, keep_formulas=keep_formulas
            )
        else:
            done = write(Run.open(run), selection, out, form, push, keep_formulas=keep_formulas)
        facts = {
            "command": "export",
            "run": str(run),
            "path": str(done.path),
            "rows": done.rows,
            "bytes": done.bytes,
            "manifest": str(done.manifest),
            "card": str(done.card),
            "notes": done.notes,
            "address": done.address,
        }
        written = (
            f"{done.rows:,} samples in {done.path}; manifest {done.manifest}, card {done.card}"
        )
        pushed = [f"pushed to {done.address}"] if done.address else []
        tell(lambda: Outcome(facts, [*done.notes, written, *pushed]))


@takes(ArmsSettings)
def arms(
    run: opt.Run,
    out: Annotated[Path, typer.Option(help="Folder to write.", show_default=False)],
    settings: ArmsSettings,
    quiet: opt.Quiet = False,
    json: opt.Json = False,
) -> None:
    """The subsets that a draw has to beat, at one budget."""
    from circuitseer_core.arms.build import build_arms, summary

    with telling(quiet, json) as tell:
        record = build_arms(Run.open(run), out, settings, command=command_line(), show=not quiet)
        table = summary(record)
        facts = {
            "command": "arms",
            "run": str(run),
            "out": str(out),
            "budget": record.budget,
            "arms": table.to_dict("records"),
            "rows_without_other_score": record.rows_without_other_score,
            "notes": record.notes,
            "settings": str(out / SETTINGS_FILE),
        }
        shown = table[["label", "rows", "tokens", "mean_tokens", "mean_score"]].round(3)
        written = f"{len(record.arms)} arms in {out}; overlaps and sources in {out / 'summary.csv'}"
        lines = [shown.to_string(index=False), written]
        if without := record.rows_without_other_score:
            of_all = f"{count(without, 'row')} of {record.pool_rows:,}"
            lines.append(f"{settings.other_scores} has no score for {of_all}: not in its arms")
        lines += record.notes
        tell(lambda: Outcome(facts, lines))


def verify(
    path: Annotated[Path | None, typer.Argument(help="The exported file or folder.")] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="The run folder, where it has moved; alone: check its own files."),
    ] = None,
    quiet: opt.Quiet = False,
    json: opt.Json = False,
) -> None:
    """Derive an exported subset again; exit 1 on any difference.

    Without a PATH, and with --run, the run's own files are checked.
    """
    with telling(quiet, json) as tell:
        outcome, problems = _run_checked(run) if path is None else _subset_checked(path, run)
        tell(lambda: outcome)
        if not json:
            for problem in problems:
                say(problem, err=True, colour="red")
    if problems:
        raise typer.Exit(1)


def _subset_checked(path: Path, run: Path | None) -> tuple[Outcome, list[str]]:
    from circuitseer_core.export.verify import verify as check

    result = check(path, run)
    lines = [f"note: {note}" for note in result.notes]
    if result.ok:
        lines.append(f"verified: {result.rows:,} rows derived again, nothing differs")
    facts = {
        "command": "verify",
        "path": str(path),
        "ok": result.ok,
        "rows": result.rows,
        "differences": [
            {"kind": kind, "text": text}
            for kind, text in zip(result.kinds, result.messages, strict=True)
        ],
        "notes": result.notes,
    }
    return Outcome(facts, lines), [f"differs: {message}" for message in result.messages]


def _run_checked(path: Path | None) -> tuple[Outcome, list[str]]:
    from circuitseer_core.runs.integrity import check_run

    if path is None:
        raise UserError("say what to verify: an exported file or folder, or --run RUN")
    result = check_run(Run.open(path).path)
    lines = []
    if result.unsigned:
        lines.append(
            f"note: {result.unsigned} files carry no checksum (made before there were any)"
        )
    if result.ok:
        lines.append(f"verified: {result.whole} files are as they were written")
    facts = {
        "command": "verify",
        "run": str(path),
        "ok": result.ok,
        "whole": result.whole,
        "unsigned": result.unsigned,
        "damaged": [{"file": d.file, "remedy": d.remedy} for d in result.damaged],
    }
    return Outcome(facts, lines), [f"damaged: {d.file}: {d.remedy}" for d in result.damaged]


COMMANDS = (export, arms, verify)
