"""The clusters of a scoring, read: the record, and the cluster of every row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from circuitseer_core.aliases import Ints
from circuitseer_core.checksums import require_whole
from circuitseer_core.errors import UserError
from circuitseer_core.runs.cluster_records import (
    AGAIN,
    FOLDER,
    NO_PROMPT,
    RECORD_FILE,
    ROWS_FILE,
    ClusterRecord,
    codes_hash,
)
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import unless_broken
from circuitseer_core.runs.shapes import Column, read_shaped


def cluster_folder(run: Run, scores: str) -> Path:
    """Where the clusters of a scoring are."""
    return run.scores_dir(scores) / FOLDER


def cluster_files(run: Run, scores: str) -> list[Path]:
    """The file that changes when the clusters do; none where there are no clusters."""
    path = cluster_folder(run, scores) / RECORD_FILE
    return [path] if path.is_file() else []


def cluster_record(run: Run, scores: str) -> ClusterRecord | None:
    """clusters.json of a scoring; None where it has no clusters. Raises UserError if broken."""
    path = cluster_folder(run, scores) / RECORD_FILE
    return ClusterRecord.read(path) if path.is_file() else None


def draws_of(run: Run, record: ClusterRecord) -> list[str]:
    """The selections whose budget these clusters shared; damaged ones are left out."""
    drawn = run.selection_records().items()
    return [name for name, one in drawn if one.clusters == record.sha256]


def refuse_change(run: Run, scores: str, **made: object) -> None:
    """Raise UserError where a draw needs the clusters that a scoring has, and these are others.

    Args:
        made: of those to be made, entries of the record.
    """
    files = cluster_files(run, scores)
    record = unless_broken(lambda: ClusterRecord.read(files[0])) if files else None
    if record is None:
        return
    before = {**dict(record), "clusters": len(record.clusters)}
    draws = draws_of(run, record)
    if draws and any(before[name] != value for name, value in made.items()):
        names = ", ".join(map(repr, draws[:3])) + (", …" if draws[3:] else "")
        raise UserError(
            f"the clusters of scoring {scores!r} shared the budget of {names}, which could not be "
            "derived again without them: --replace (replace=True) makes them anew"
        )


def cluster_strata(run: Run, scores: str) -> tuple[Ints, tuple[str, ...]]:
    """(N,) the cluster of every row in data order, as a number into the clusters' names.

    Raises:
        UserError: there are none, they are of other rows than the scoring has now, or the command
            was stopped when it had replaced them and not yet their record.
    """
    record = cluster_record(run, scores)
    again = f"run cluster --run {run.path} --scores {scores}"
    if record is None:
        raise UserError(f"scoring {scores!r} has no clusters yet: {again}")
    path = cluster_folder(run, scores) / ROWS_FILE
    require_whole(path, AGAIN)
    shape = {"id": Column("text"), "cluster": Column("whole numbers", NO_PROMPT)}
    frame = read_shaped(path, shape)
    ids = run.scores(scores, ["id"])["id"].astype(str)
    if frame["id"].astype(str).tolist() != ids.tolist():
        raise UserError(f"scoring {scores!r} has other rows now than its clusters: {again}")
    codes = frame["cluster"].to_numpy(dtype=np.int64)
    if codes_hash(codes) != record.sha256:
        raise UserError(f"{path} holds other clusters than {RECORD_FILE} beside it: {again}")
    return np.where(codes == NO_PROMPT, len(record.clusters), codes), record.names()
