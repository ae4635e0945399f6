"""A number beside each scored row that says something about the question: steps, level, …

Marks of worked steps are counted in sources most of whose responses have some: elsewhere their
absence says how answers are written, not how hard the questions are (and ``<<`` in a program is no
step).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from circuitseer_core.aliases import Floats
from circuitseer_core.errors import UserError
from circuitseer_core.json_io import json_object
from circuitseer_core.runs.folder import Run

STEP_MARK = "<<"
"""Opens every worked operation in answers of GSM8K's format."""
_MOSTLY = 0.5
"""Share of a source's rows that must have a mark for the others' zero to be a count."""


@dataclass(frozen=True)
class Reference:
    """``values`` (N,), NaN where unknown, in data order, and what they are."""

    label: str
    values: Floats


def count_in_responses(run: Run, scoring: str, mark: str) -> Reference:
    """How often ``mark`` stands in each response; NaN where there is no response."""
    label = f"count of {mark} in the response"
    return Reference(label, _from_text(run, scoring, "response", _counter(mark)))


def column_of(run: Run, scoring: str, name: str) -> Reference:
    """A numeric column: of the scores, or else of the original rows.

    Raises:
        UserError: neither has it, or it holds no number; names the original columns there are.
    """
    parts = run.score_parts(scoring)
    if parts and _is_number(pq.read_schema(parts[0]), name):
        values = run.scores(scoring, [name])[name].to_numpy(dtype=np.float64, na_value=np.nan)
        return Reference(f"column {name}", values)
    seen: set[str] = set()

    def value(original: str) -> float:
        row = json_object(original)
        seen.update(row)
        return number_in(row.get(name))

    values = _from_text(run, scoring, "original", value)
    if name not in seen:
        raise UserError(f"the rows have no column {name!r}; found: {', '.join(sorted(seen))}")
    if not np.isfinite(values).any():
        raise UserError(f"column {name!r} holds no numbers")
    return Reference(f"column {name}", values)


def _is_number(schema: pa.Schema, name: str) -> bool:
    """Whether a shard has a column of this name that holds numbers."""
    if name not in schema.names:
        return False
    kind = schema.field(name).type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def worked_steps(run: Run, scoring: str) -> Reference | None:
    """Counts of ``<<`` in sources most of whose responses have some, else NaN; None of none."""
    counted = count_in_responses(run, scoring, STEP_MARK)
    steps = where_used(counted.values, run.scores(scoring, ["source"])["source"])
    return Reference(counted.label, steps) if np.isfinite(steps).any() else None


def where_used(values: Floats, source: pd.Series) -> Floats:
    """(n,) ``values`` of sources at least half of whose rows have one above 0, else NaN."""
    names = source.astype("string").fillna("").to_numpy()
    used = pd.Series(values > 0).groupby(names).transform("mean")
    return np.where(used.to_numpy(dtype=np.float64) >= _MOSTLY, values, np.nan)


def _counter(mark: str) -> Callable[[str], float]:
    return lambda text: float(text.count(mark))


_LEVEL = re.compile(r"[A-Za-z][A-Za-z _-]*?[\s_:-]*(-?\d+(?:\.\d+)?)\s*")


def number_in(value: Any) -> float:
    """A number, text that is one, or the number of a level ("Level 3", "grade-5"); else NaN.

    True and false are no numbers.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return float("nan")
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits
        return float("nan")
    except ValueError:
        level = _LEVEL.fullmatch(value.strip()) if isinstance(value, str) else None
        return float(level.group(1)) if level else float("nan")


def _from_text(run: Run, scoring: str, column: str, value: Callable[[str], float]) -> Floats:
    """``value`` of every row's text, a batch in memory at a time; demo texts come by id."""
    parts = run.score_parts(scoring)
    chunks = [_part_values(part, column, value) for part in parts]
    values = np.concatenate([np.empty(0), *chunks])
    if np.isfinite(values).any():
        return values
    from circuitseer_core.runs import texts as run_texts

    texts = run_texts.demo_texts()
    ids = run.scores(scoring, ["id"])["id"]
    if column == "response":
        known = {key: sample.response for key, sample in texts.items()}
        samples = (known.get(str(i)) for i in ids)
        return np.array([np.nan if t is None else value(t) for t in samples])
    import json

    originals = {key: json.dumps(sample.original, default=str) for key, sample in texts.items()}
    rows = (originals.get(str(i)) for i in ids)
    return np.array([np.nan if row is None else value(row) for row in rows])


def _part_values(part: Path, column: str, value: Callable[[str], float]) -> Floats:
    with pq.ParquetFile(part) as parquet:
        if column not in parquet.schema_arrow.names:
            return np.full(parquet.metadata.num_rows, np.nan)
        texts: Iterator[str | None] = (
            text
            for batch in parquet.iter_batches(8192, columns=[column])
            for text in batch.column(0).to_pylist()
        )
        return np.array([np.nan if t is None else value(t) for t in texts], dtype=np.float64)
