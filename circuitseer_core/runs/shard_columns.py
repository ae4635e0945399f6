"""Number columns added to the finished shards of a scoring, or taken away again.

The first shard is written last, and whoever asks which scorers a scoring has looks at the first
shard and at settings.json: an interrupted addition does not show. Columns that are there already
are replaced in a copy of the scoring that takes its place at once: until then the old ones stand.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from circuitseer_core.aliases import Floats
from circuitseer_core.checksums import require_whole, unsigned, write_table
from circuitseer_core.files import atomic_path, folder_anew
from circuitseer_core.runs.columns import ROW_GROUP, score_columns
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import ScoringRecord


def put_columns(
    run: Run,
    scores: str,
    columns: Mapping[str, Floats],
    record: ScoringRecord,
    on_rows: Callable[[int], None] = lambda n: None,
) -> None:
    """Give a scoring these (N,) columns and ``record``, the settings.json that names them.

    A kill leaves the columns and the settings.json that were there before. Raises UserError where
    a shard is damaged.
    """
    folder, parts = run.scores_dir(scores), run.whole_score_parts(scores)
    if not set(columns) & set(pq.read_schema(parts[0]).names):
        add_columns(parts, columns, on_rows)
        record.write(folder / "settings.json")
        return
    with folder_anew(folder, run.path / f".scores-{scores}.{os.getpid()}.tmp") as anew:
        add_columns([anew / part.name for part in parts], columns, on_rows)
        record.write(anew / "settings.json")


def add_columns(
    parts: Sequence[Path],
    columns: Mapping[str, Floats],
    on_rows: Callable[[int], None] = lambda n: None,
) -> None:
    """Give every shard its part of these (N,) columns; ones of the same name are replaced.

    Values that are not finite are stored as null.
    """
    ends = np.cumsum([pq.read_metadata(part).num_rows for part in parts])
    starts = ends - [pq.read_metadata(part).num_rows for part in parts]
    for part, start, end in reversed(list(zip(parts, starts, ends, strict=True))):
        _write(part, {name: values[start:end] for name, values in columns.items()})
        on_rows(int(end - start))


def drop_columns(parts: Sequence[Path], names: Sequence[str]) -> None:
    """Take columns away from these shards, as far as they have them."""
    for part in parts:
        if set(names) & set(pq.read_schema(part).names):
            _write(part, dict.fromkeys(names))


def _write(part: Path, columns: Mapping[str, Floats | None]) -> None:
    """One shard with these columns, or without those that are None; everything else as it was."""
    require_whole(part, "score again")
    table = unsigned(pq.read_table(part))
    table = table.drop_columns([name for name in columns if name in table.schema.names])
    for name, values in columns.items():
        if values is None:
            continue
        names = table.schema.names
        scores = score_columns(names)
        at = names.index(scores[-1]) + 1 if scores else len(names)
        column = pa.array(values, mask=~np.isfinite(values), type=pa.float64())
        table = table.add_column(at, name, column)
    with atomic_path(part) as temporary:
        write_table(temporary, table, row_group_size=ROW_GROUP)
