"""The library's verbs for head maps on the Hub, with loose options."""

from __future__ import annotations

import os

from circuitseer_core.arguments import a_path, a_text
from circuitseer_core.detection.head_map import HeadMap
from circuitseer_core.runs.any_run import AnyRun, place
from circuitseer_core.runs.folder import Run


def push_heads(run: AnyRun, repo: str) -> str:
    """Put a run's head map into a dataset repository on the Hub; returns its address.

    What goes: heads.parquet, a manifest (the model and its weights hash, how it was measured) and a
    card. No text of the probe, no path of this machine. A repository that does not exist yet is
    made, private. The token is read from the environment (``HF_TOKEN``).

    Raises:
        UserError: no detection yet, no token, or the Hub refuses or is out of reach.
    """
    from circuitseer_core.sharing.push import push_heads as push

    return push(Run.open(place(run)), a_text("repo", repo))


def pull_heads(
    repo: str, out: str | os.PathLike[str] | None = None, *, run: AnyRun | None = None,
    model: str | None = None, revision: str | None = None, allow_pickle: bool = False,
    force: bool = False,
) -> HeadMap:  # fmt: skip
    """Fetch a head map from the Hub and check it.

    Args:
        repo: ``owner/name`` or ``owner/name@revision``.
        out: the folder to put it into; by default one of the cache (``CIRCUITSEER_HOME``).
        run: the run that is to use it: its model has to be the map's. A new folder becomes a run
            of ``model`` with this map in place of a detection.
        model: the model of a new run: a Hub id, a local folder, or ``demo``.
        revision: its revision on the Hub; by default the one that the map was measured on, where
            the model has the same name.
        allow_pickle: load the model's checkpoint though it is no safetensors file.
        force: take a map of a model with other weights.

    Returns ``path``, ``heads`` (a frame), ``record``; ``score(…, heads=…)`` takes it as it is.

    Raises:
        UserError: no such repository, files that are no head map or too large, another model's map,
            or a folder that is not ours to replace.
    """
    from circuitseer_core.sharing.pull import pull_heads as pull

    return pull(
        a_text("repo", repo),
        None if out is None else a_path("out", out),
        run=None if run is None else place(run),
        model=None if model is None else a_text("model", model),
        revision=None if revision is None else a_text("revision", revision),
        allow_pickle=allow_pickle,
        force=force,
    )
