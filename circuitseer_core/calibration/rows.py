"""What a calibration reads of a scoring: the rows that carry head readings, and what is beside."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats, Head, Index
from circuitseer_core.calibration.folds import fold_keys
from circuitseer_core.data.sample import scored_text
from circuitseer_core.errors import UserError
from circuitseer_core.runs.columns import (
    CALIBRATED,
    HEAD_COLUMNS,
    WIDE,
    control_columns,
    score_columns,
)
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import ScoringRecord
from circuitseer_core.runs.texts import chosen_texts, pool_prompts


@dataclass(frozen=True, slots=True)
class Rows:
    """N scored samples with head readings.

    ``readings``: (N, F, H) float32 in the order of columns.HEAD_FAMILIES and ``heads``.
    ``numbers``: every other number column, (N,) each, NaN where null. ``texts``: what was scored.
    ``originals``: the rows of the data. ``keys``: one a normalised prompt (folds.py).
    """

    ids: list[str]
    source: NDArray[np.object_]
    tokens: Floats
    readings: NDArray[np.float32]
    heads: list[Head]
    numbers: dict[str, Floats]
    texts: list[str]
    responses: list[str | None]
    originals: list[dict[str, Any]]
    keys: list[str]

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.ids)

    def take(self, rows: Index) -> Rows:
        """These rows, in this order."""
        return Rows(
            ids=[self.ids[i] for i in rows],
            source=self.source[rows],
            tokens=self.tokens[rows],
            readings=self.readings[rows],
            heads=self.heads,
            numbers={name: values[rows] for name, values in self.numbers.items()},
            texts=[self.texts[i] for i in rows],
            responses=[self.responses[i] for i in rows],
            originals=[self.originals[i] for i in rows],
            keys=[self.keys[i] for i in rows],
        )

    def scorers(self) -> list[str]:
        """Score columns, a calibrated one aside."""
        return [name for name in score_columns(self.numbers) if name != CALIBRATED]

    def controls(self, scorer: str) -> list[str]:
        """Columns of a scorer's random-head controls."""
        return control_columns(scorer, self.numbers)


def load_rows(run: Run, name: str) -> Rows:
    """Every row of a scoring that carries head readings.

    Raises:
        UserError: no such scoring, it is not finished, has no readings, or no texts are at hand.
    """
    scoring = readable(run, name)
    tables, known = [], []
    for part in run.whole_score_parts(name):
        have = pq.read_schema(part).names
        columns = [c for c in have if c not in WIDE or c in HEAD_COLUMNS]
        table = pq.read_table(part, columns=columns)
        known.append(table[HEAD_COLUMNS[0]].is_valid().to_numpy())
        tables.append(table.filter(known[-1]).replace_schema_metadata())
    table = pa.concat_tables(tables)
    if not table.num_rows:
        raise UserError(f"no row of scoring {name!r} carries head readings")
    ids = table["id"].to_pylist()
    chosen = chosen_texts(run, name, ids)
    prompts, responses = chosen["prompt"].to_pylist(), chosen["response"].to_pylist()
    hashes = pool_prompts(run, name)
    texts = [scored_text(scoring.text, p, r) or "" for p, r in zip(prompts, responses, strict=True)]
    return Rows(
        ids=ids,
        source=np.array(table["source"].to_pylist(), dtype=object),
        tokens=table["n_tokens"].to_numpy().astype(np.float64),
        readings=np.stack([fixed_lists(table[c]) for c in HEAD_COLUMNS], axis=1),
        heads=list(scoring.feature_heads),
        numbers=_numbers(table),
        texts=texts,
        responses=responses,
        originals=[json.loads(text) for text in chosen["original"].to_pylist()],
        keys=list(ids) if hashes is None else fold_keys(ids, hashes[np.concatenate(known)]),
    )


def readable(run: Run, name: str) -> ScoringRecord:
    """settings.json of a finished scoring that has head readings. Raises UserError otherwise."""
    scoring = run.scoring(name)
    if scoring.state != "done":
        raise UserError(f"scoring {name!r} is not finished: run score --run {run.path} again")
    if not scoring.feature_heads:
        raise UserError(
            f"scoring {name!r} has no head readings: run score --run {run.path} --head-features "
            "under another --name"
        )
    return scoring


def fixed_lists(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """(N, H) of a column of float16 lists of one size; NaN where a row is null."""
    blocks = []
    for chunk in column.chunks:
        size = chunk.type.list_size
        values = np.full((len(chunk), size), np.nan, dtype=np.float32)
        known = chunk.is_valid().to_numpy(zero_copy_only=False)
        flat = chunk.flatten().to_numpy(zero_copy_only=False)  # without the null rows
        values[known] = flat.reshape(-1, size)
        blocks.append(values)
    return np.concatenate(blocks)


def _numbers(table: pa.Table) -> dict[str, Floats]:
    kinds = pa.types
    return {
        field.name: table[field.name].to_pandas().to_numpy(dtype=np.float64, na_value=np.nan)
        for field in table.schema
        if kinds.is_integer(field.type) or kinds.is_floating(field.type)
    }
