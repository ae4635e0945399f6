"""Columns of values as groups: integer codes with labels, and the values worth offering."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from circuitseer_core.json_io import json_object

FACET_VALUES = 50
"""Most values offered for one column of the original rows."""


@dataclass(frozen=True)
class Grouping:
    """A column as small integers: ``labels[codes[i]]`` is row i's value, code -1 where none."""

    codes: NDArray[np.int32]
    labels: tuple[str, ...]


def encode(values: pa.ChunkedArray, most: int | None) -> Grouping:
    """Groups of the values, most rows first; beyond the first ``most`` they have none."""
    encoded = pa.chunked_array([values.combine_chunks().dictionary_encode()]).chunk(0)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    names = [str(v) for v in encoded.dictionary.to_pylist()]
    sizes = np.bincount(codes[codes >= 0], minlength=len(names))
    order = sorted(range(len(names)), key=lambda i: (-sizes[i], names[i]))[:most]
    renumbered = np.full(len(names) + 1, -1, dtype=np.int32)  # the last slot serves code -1
    renumbered[order] = np.arange(len(order), dtype=np.int32)
    return Grouping(renumbered[codes], tuple(names[i] for i in order))


def values_of(originals: Iterable[str]) -> dict[str, list[str]]:
    """Columns of original rows (JSON) with 2 to ``FACET_VALUES`` short values, both sorted."""
    seen: dict[str, set[str]] = {}
    for original in originals:
        for key, item in json_object(original).items():
            if isinstance(item, str | int | float | bool):
                text = str(item).lower() if isinstance(item, bool) else str(item)
                seen.setdefault(key, set()).add(text)
    return {
        key: sorted(values, key=lambda v: (len(v), v) if v.isdigit() else (99, v))
        for key, values in sorted(seen.items())
        if 2 <= len(values) <= FACET_VALUES and max(map(len, values)) <= 60
    }
