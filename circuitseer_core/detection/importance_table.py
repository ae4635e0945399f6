"""Parts of the importance table on disk: the unit of resume, and their merger at the end.

A part holds the rows of one (sample batch, layer). Its metadata carries the hash of the settings it
was made with, and the clean copies' deviations from which the batch spread is computed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.checksums import is_damaged, is_whole, require_whole, write_table
from circuitseer_core.files import atomic_path, stamp
from circuitseer_core.runs.folder import MERGED
from circuitseer_core.runs.shapes import IMPORTANCE, read_parts

_METADATA = b"circuitseer"


def part_path(folder: Path, set_name: str, number: int, batch: int, layer: int) -> Path:
    """Where the rows of one (round, batch, layer) go."""
    return folder / f"part-{set_name}-r{number}-b{batch:05d}-l{layer:03d}.parquet"


def write_part(path: Path, rows: pa.Table, *, settings_hash: str, noise: Sequence[float]) -> None:
    """Write one part, atomically. ``noise``: clean copies minus clean pass, nats."""
    note = json.dumps({"settings": settings_hash, "noise": list(noise)}).encode()
    with atomic_path(path) as temporary:
        write_table(temporary, rows.replace_schema_metadata({_METADATA: note}))


def is_complete(path: Path, settings_hash: str, ids: Sequence[str], heads: Sequence[int]) -> bool:
    """Whether a part is whole and belongs to this very work; anything else is redone."""
    if not path.is_file() or is_whole(path) is False:
        return False
    try:
        table = pq.read_table(path, columns=["id", "head"])
    except (OSError, pa.ArrowException):
        return False
    return (
        _note(table.schema).get("settings") == settings_hash
        and table["id"].to_pylist() == list(ids) * len(heads)
        and table["head"].to_pylist() == [h for h in heads for _ in ids]
    )


def read_rounds(folder: Path, *, before: int) -> pd.DataFrame:
    """Rows of all rounds before number ``before``: what a race may narrow its field by.

    Later rounds may already be there from an attempt that was stopped; using them would narrow
    differently than the uninterrupted race did.
    """
    parts = [p for r in range(before) for p in sorted(folder.glob(f"part-*-r{r}-b*.parquet"))]
    return pd.concat([pq.read_table(p).to_pandas() for p in parts], ignore_index=True)


def is_merged(folder: Path) -> bool:
    """Whether measuring is complete and the parts have become one file, which is whole."""
    merged = folder / MERGED
    return merged.is_file() and not is_damaged(merged)


def merge_parts(folder: Path) -> tuple[pd.DataFrame, float]:
    """Replace the parts in ``folder`` by one file with the same rows.

    The merged file is in place before a part goes, so a kill in between loses nothing.

    Returns:
        The importance table, and the batch spread: the root mean square, in nats, of a sample's
        clean loss repeated inside stacks against its clean pass.
    """
    merged = folder / MERGED
    parts = [p for p in sorted(folder.glob("part-*.parquet")) if p != merged]
    if not is_merged(folder):
        for part in parts:
            require_whole(part, "run detect again")
        tables = [pq.read_table(p) for p in parts]
        noise = [value for table in tables for value in _note(table.schema).get("noise", [])]
        spread = float(np.sqrt(np.mean(np.square(noise)))) if noise else 0.0
        note = json.dumps({"batch_spread": spread}).encode()
        whole = pa.concat_tables([t.replace_schema_metadata() for t in tables])
        with atomic_path(merged) as temporary:
            write_table(temporary, whole.replace_schema_metadata({_METADATA: note}))
    for part in parts:
        part.unlink()
    table = pq.read_table(merged)
    note_ = _note(table.schema)
    # Called noise_floor where an earlier version merged the parts.
    return table.to_pandas(), float(note_.get("batch_spread", note_.get("noise_floor", 0.0)))


def delta_matrix(folder: Path, set_name: str = "probe") -> tuple[pd.Index, list[Head], Floats]:
    """Loss changes of one set: sample ids (sorted), heads (layer-major), and (samples, heads) nats.

    NaN where a head was raced out before a sample. The numbers are shared: nobody can write into
    them.

    Raises:
        UserError: a part is damaged or cannot be read.
    """
    parts = sorted(folder.glob("part-*.parquet"))
    if not parts:
        return pd.Index([]), [], np.empty((0, 0))
    for part in parts:
        require_whole(part, "run detect again")
    ids, heads, values = _matrix(str(folder), set_name, stamp(parts))
    return ids, list(heads), values


@lru_cache(maxsize=2)
def _matrix(
    folder: str, set_name: str, stamps: tuple[tuple[str, int, int], ...]
) -> tuple[pd.Index, tuple[Head, ...], Floats]:
    """Kept while the parts stay as they are: the app's map and its checks both start from it."""
    rows = read_parts([Path(folder) / name for name, _, _ in stamps], IMPORTANCE)
    rows = rows[rows["set"] == set_name]
    row, ids = pd.factorize(rows["id"], sort=True)
    layer, head = (rows[name].to_numpy(dtype=np.int64) for name in ("layer", "head"))
    width = int(head.max(initial=0)) + 1
    column, cells = pd.factorize(layer * width + head, sort=True)  # np.unique sorts every row
    values = np.full((len(ids), len(cells)), np.nan)
    values[row, column] = rows["delta_loss"].to_numpy()
    values.setflags(write=False)
    return pd.Index(ids), tuple((int(c) // width, int(c) % width) for c in cells), values


def _note(schema: pa.Schema) -> dict[str, Any]:
    raw = (schema.metadata or {}).get(_METADATA)
    note: dict[str, Any] = json.loads(raw) if raw else {}
    return note
