"""A head map apart from its run: a folder with heads.parquet and a manifest, from anywhere.

A map that was fetched is data of unknown origin. It is read within limits, only the known columns,
in their types, and has to be whole: one row for every head that its model has. Nothing in it names
code or is run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from circuitseer_core.detection.settings import ablated
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.hashing import file_hash
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import HeadsSource, ModelRecord, Record
from circuitseer_core.runs.shapes import HEADS, HEADS_FILE, HEADS_FURTHER, MOST_HEADS, Shape

FORMAT = 1
TABLE, MANIFEST = HEADS_FILE, "head_map.json"
MOST_BYTES = {TABLE: 64 << 20, MANIFEST: 1 << 20}
"""Largest file of each kind: a map of 100,000 heads takes 6 MB."""
_TYPES = {"whole numbers": pa.int64(), "numbers": pa.float64(), "yes or no": pa.bool_()}


def _types(shape: Shape) -> dict[str, pa.DataType]:
    return {name: _TYPES[column.kind] for name, column in shape.items()}


class Measured(Record):
    """How a map was measured, as far as it may leave the machine: no text, no file name.

    ``epsilon``: the logit factor of ``scaled``; 0 elsewhere, and of maps that do not say it.
    """

    mode: str | None = None
    ablation: str | None = None
    epsilon: float = 0.0
    probe_criterion: str | None = None
    loss_tokens: str | None = None
    template: str | None = None
    max_length: int | None = None
    n_probe: int | None = None
    noise_floor: float | None = None
    finished: str | None = None

    @property
    def in_words(self) -> str:
        """What was done to a head, in words (``with …``)."""
        return ablated(self.ablation, self.epsilon)

    @classmethod
    def of_run(cls, run: Run) -> Measured:
        """How the heads of a run were measured."""
        detection, settings = run.detection, run.detection.settings
        return cls(
            mode=settings.mode if settings else None,
            ablation=settings.ablation if settings else None,
            epsilon=settings.epsilon if settings else 0.0,
            probe_criterion=settings.probe_criterion if settings else None,
            loss_tokens=settings.loss_tokens if settings else None,
            template=detection.template,
            max_length=detection.max_length,
            n_probe=detection.n_probe,
            noise_floor=detection.noise_floor,
            finished=detection.finished,
        )


class HeadMapRecord(Record):
    """head_map.json. ``sha256``: of heads.parquet; ``repo`` and ``revision``: where from."""

    format: int
    model: ModelRecord
    measured: Measured
    heads: int
    sha256: str
    versions: dict[str, str] = Field(default_factory=dict)
    repo: str | None = None
    revision: str | None = None

    def source(self) -> HeadsSource:
        """Where heads that are taken from it come from."""
        return HeadsSource(
            repo=self.repo,
            revision=self.revision,
            sha256=self.sha256,
            weights_hash=self.model.weights_hash,
            n_probe=self.measured.n_probe,
        )


@dataclass(frozen=True)
class HeadMap:
    """A head map that was read: its folder, its manifest, and heads.parquet as a frame."""

    path: Path
    record: HeadMapRecord
    heads: pd.DataFrame = field(repr=False)


def read_head_map(folder: str | Path) -> HeadMap:
    """Read and check a head map.

    Raises:
        UserError: files that are missing, too large or no head map, or that do not fit together.
    """
    folder = Path(folder)
    for name, most in MOST_BYTES.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{folder} is no head map (it has no {name}): pull-heads fetches one")
        if path.stat().st_size > most:
            raise UserError(f"{path} is larger than a head map is ({most >> 20} MB)")
    record = HeadMapRecord.read(folder / MANIFEST)
    if record.format != FORMAT:
        raise UserError(f"{folder} is a head map of format {record.format}, not {FORMAT}")
    path = folder / TABLE
    if file_hash(path) != record.sha256:
        raise UserError(f"{path} is not the file that its manifest names: fetch the map again")
    table = _table(path)
    _refuse_incomplete(table, record, folder)
    return HeadMap(folder, record, table)


def refuse_other_model(head_map: HeadMap, model: ModelRecord, *, force: bool = False) -> None:
    """Raise UserError where a map was measured on other weights than ``model`` has.

    ``force`` lets other weights pass, but not another number of heads.
    """
    of = head_map.record.model
    if of.heads_per_layer != model.heads_per_layer:
        raise UserError(
            f"the head map is of {of.called}, whose layers have other numbers of heads than those "
            f"of {model.called}"
        )
    if of.weights_hash != model.weights_hash and not force:
        raise UserError(
            f"the head map was measured on {of.called} with weights {_short(of)}, this run has "
            f"{model.called} with weights {_short(model)}: force takes it all the same"
        )


def _short(model: ModelRecord) -> str:
    return (model.weights_hash or "unknown")[:8]


def _table(path: Path) -> pd.DataFrame:
    """The known columns of a map, in their types, sorted by layer and head."""
    try:
        with pq.ParquetFile(path) as file:
            metadata = file.metadata
            sizes = (metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
            if metadata.num_rows > MOST_HEADS or sum(sizes) > MOST_BYTES[TABLE]:
                raise UserError(f"{path} is larger than a head map is")
            have = set(file.schema_arrow.names)
            missing = [name for name in HEADS if name not in have]
            if missing:
                raise UserError(f"{path} is no head map: it has no column {', '.join(missing)}")
            further = {name: column for name, column in HEADS_FURTHER.items() if name in have}
            types = _types({**HEADS, **further})
            read = file.read(columns=list(types))
        columns = {name: read[name].cast(kind) for name, kind in types.items()}
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from error
    if any(column.null_count for name, column in columns.items() if name in HEADS):
        raise UserError(f"{path} has empty cells")
    frame = pa.table(columns).to_pandas(ignore_metadata=True)
    return frame.sort_values(["layer", "head"], ignore_index=True)


def _refuse_incomplete(table: pd.DataFrame, record: HeadMapRecord, folder: Path) -> None:
    """Raise UserError where the rows are not the model's heads, each once, ranked from 1."""
    counts = record.model.heads_per_layer
    if not counts or min(counts) < 0 or sum(counts) > MOST_HEADS:
        raise UserError(f"{folder / MANIFEST} does not say how many heads the model has")
    wanted = [(layer, head) for layer, n in enumerate(counts) for head in range(n)]
    present = list(zip(table["layer"].tolist(), table["head"].tolist(), strict=True))
    if present != wanted:
        raise UserError(
            f"{folder / TABLE} has {len(present):,} rows that are not the {len(wanted):,} heads of "
            f"{record.model.called}"
        )
    for column in ("rank", "specificity_rank"):
        if column in table and sorted(table[column]) != list(range(1, len(table) + 1)):
            raise UserError(f"{folder / TABLE}: column {column} does not rank the heads from 1")
    if not np.isfinite(table["importance"]).all() or (table["n"] < 1).any():
        raise UserError(f"{folder / TABLE} has heads without a measurement")
