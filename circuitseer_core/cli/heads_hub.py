"""Commands that carry a head map to the Hub and from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from circuitseer_core.cli import options as opt
from circuitseer_core.cli.output import say
from circuitseer_core.errors import UserError
from circuitseer_core.runs.commands import as_typed


def push_heads(
    run: opt.Run,
    repo: Annotated[str, typer.Argument(help="Hub dataset repository, owner/name.")],
) -> None:
    """Put a run's head map on the Hub.

    The table, a manifest and a card; no text of the probe.
    """
    from circuitseer_core.runs.folder import Run
    from circuitseer_core.sharing.push import push_heads as push

    say(f"pushed to {push(Run.open(run), repo)}")


def pull_heads(
    repo: Annotated[str, typer.Argument(help="owner/name or owner/name@revision.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to put it into; the cache where not given.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="The run that is to use it; a new folder becomes a run of it."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model of a new run: Hub id, folder or demo.")
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(help="Revision of --model; by default the one that the map was measured on."),
    ] = None,
    allow_pickle: opt.AllowPickle = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take a map of a model with other weights.")
    ] = False,
) -> None:
    """Fetch a head map from the Hub, in place of a detection."""
    from circuitseer_core.detection.head_map import TABLE
    from circuitseer_core.sharing.pull import pull_heads as pull

    if model is not None:
        opt.quiet_libraries()
    fresh = run is not None and not (run / TABLE).is_file()
    if revision is not None and model is None:
        raise UserError("--revision goes with --model (a map's own is behind @)")
    head_map = pull(
        repo,
        out,
        run=run,
        model=model,
        revision=revision,
        allow_pickle=allow_pickle,
        force=force,
    )
    record = head_map.record
    where = f"{record.repo} at {str(record.revision)[:12]}"
    say(f"{record.heads} heads of {record.model.called} from {where} in {head_map.path}")
    place = ["score", "--run", str(run or "RUN")]
    source = [] if fresh else ["--heads-from", str(head_map.path)]
    say(f"next: {as_typed([*place, *source, '--data'])} …")


COMMANDS = (push_heads, pull_heads)
