"""A scoring whose data has grown: what was scored stays, the new rows are scored alone.

Data grow by files beside those scored, or by lines behind the last of them (JSON Lines): in both
the stream begins with what was scored. Lines behind another file would stand in its middle.

The files that were scored come first in the stream, in the order in which they were scored, and
their last window ends where it ended: so every shard stands for the rows that it stood for, and the
new files begin a shard of their own. Ids are those of the same stream read at once, and so are the
scores, but for the rounding of other company in a batch. Shares of rows that carry random-head
controls or readings stay as they were chosen for the rows of the beginning.
"""

from __future__ import annotations

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.errors import UserError
from circuitseer_core.runs.records import DataRecord, ScoringRecord


def in_order(corpus: Corpus, record: ScoringRecord) -> bool:
    """Put the files that a scoring was made of first; whether all of them are there, unchanged."""
    files = [file.to_json() for data in record.data for file in data.files]
    return bool(files) and corpus.begin_with(files)


def grown(
    before: ScoringRecord,
    data: DataRecord,
    specs: list[str],
    name: str,
    *,
    appended: bool = False,
) -> ScoringRecord:
    """The record of a scoring with what ``data`` has beyond that scored.

    Args:
        specs: the DATA specs behind ``data``.
        appended: whether the last file that was scored has more lines (Corpus.begin_with).

    Returns:
        The record itself where nothing was added, or where it was made of other data.

    Raises:
        UserError: the scoring is not finished, or carries columns that new rows would lack.
    """
    if len(before.data) != 1 or before.data[0].sha256 == data.sha256:
        return before
    then = before.data[0]
    kept, now = then.to_json(), data.to_json()
    known = kept.get("files", [])
    same = known[:-1] if appended else known
    if kept.get("fields") != now.get("fields") or now["files"][: len(same)] != same:
        return before
    if before.state != "done":
        raise UserError(
            f"scoring {name!r} is not finished: finish it with the data that it was begun with, "
            "then add to it"
        )
    if before.calibration is not None:
        raise UserError(
            f"scoring {name!r} carries the scorer of calibration {before.calibration.name!r}, "
            "which ranks rows among each other: score the larger data under another --name"
        )
    if before.imported:
        raise UserError(
            f"scoring {name!r} carries imported scores, which the new rows lack: score the larger "
            "data under another --name, then import them again"
        )
    after = before.model_copy(deep=True)
    after.grown_from = before.grown_from or then.sha256
    after.grown_at = [*before.grown_at, before.rows + before.rejected]
    after.data, after.data_specs = [data], list(specs)
    after.state = "running"
    return after


def changed_files(before: ScoringRecord, data: DataRecord) -> list[str]:
    """Names of files that a scoring was made of and that are not as they were, or gone."""
    now = {(file.source, file.name): file for file in data.files}
    then = [file for data in before.data for file in data.files]
    same = [now.get((file.source, file.name)) for file in then]
    return [
        file.name
        for file, other in zip(then, same, strict=True)
        if other is None or other.to_json() != file.to_json()
    ]
