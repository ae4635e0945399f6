"""Columns of values as groups: integer codes with labels, and the values worth offering."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats
from circuitseer_core.distributions import quantile_bins

FACET_VALUES = 50
"""Most values offered for one column of the original rows."""


@dataclass(frozen=True)
class Grouping:
    """A column as small integers: ``labels[codes[i]]`` is row i's value, code -1 where none."""

    codes: NDArray[np.int32]
    labels: tuple[str, ...]


def natural(text: str) -> tuple[tuple[int, float, str], ...]:
    """A sort key by which "Level 2" comes before "Level 10", and numbers before names."""
    pieces = re.split(r"(\d+(?:\.\d+)?)", text.strip())
    return tuple(
        (0, float(piece), "") if i % 2 else (1, 0.0, piece)
        for i, piece in enumerate(pieces)
        if piece
    )


def encode(values: pa.ChunkedArray, most: int | None) -> Grouping:
    """Groups of the values, most rows first; beyond the first ``most`` they have none.

    Where every value of a short column (``most`` given) has a number in it they are levels, and
    stand in their natural order.
    """
    encoded = pa.chunked_array([values.combine_chunks().dictionary_encode()]).chunk(0)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    names = [str(v) for v in encoded.dictionary.to_pylist()]
    sizes = np.bincount(codes[codes >= 0], minlength=len(names))
    present = np.flatnonzero(sizes).tolist()  # a file's own dictionary may name others too
    order = sorted(present, key=lambda i: (-sizes[i], names[i]))[:most]
    if most is not None and all(re.search(r"\d", names[i]) for i in order):
        order.sort(key=lambda i: natural(names[i]))
    renumbered = np.full(len(names) + 1, -1, dtype=np.int32)  # the last slot serves code -1
    renumbered[order] = np.arange(len(order), dtype=np.int32)
    return Grouping(renumbered[codes], tuple(names[i] for i in order))


def number_groups(values: Floats, count: int = 8) -> Grouping:
    """Numbers (N,) as groups: even steps over the bulk of them, and one group beyond either end.

    The steps span the 5th to the 95th percentile, so that no outlier can press the rest into one
    group; values that are missing have none.
    """
    edges = quantile_bins(values, count)
    codes = np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), -1)
    labels = [f"below {_plain(edges[0])}"]
    labels += [f"{_plain(a)} to {_plain(b)}" for a, b in pairwise(edges)]
    labels.append(f"{_plain(edges[-1])} and more")
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(labels)))
    renumbered = np.full(len(labels) + 1, -1, dtype=np.int32)
    renumbered[used] = np.arange(len(used), dtype=np.int32)
    return Grouping(renumbered[codes], tuple(labels[i] for i in used))


def _plain(value: float) -> str:
    return f"{value:,.6g}".replace("-", "−")


def number_columns_of(originals: Iterable[Mapping[str, object]]) -> list[str]:
    """Columns of original rows whose values are all numbers, more than one, sorted."""
    seen: dict[str, set[float]] = {}
    others: set[str] = set()
    for original in originals:
        for key, item in original.items():
            number = _number(item)
            if number is not None:
                seen.setdefault(key, set()).add(number)
            elif item is not None:
                others.add(key)
    return sorted(key for key, values in seen.items() if len(values) > 1 and key not in others)


def _number(item: object) -> float | None:
    """A number, or text that is one; None for anything else, and for true and false."""
    if isinstance(item, bool) or not isinstance(item, int | float | str):
        return None
    try:
        value = float(item)
    except (ValueError, OverflowError):  # the second: a whole number of 400 digits
        return None
    return value if np.isfinite(value) else None


def values_of(
    originals: Iterable[Mapping[str, object]], written: Callable[[list[float]], list[str]]
) -> dict[str, list[str]]:
    """Columns of original rows with 2 to ``FACET_VALUES`` short values, both sorted.

    ``written``: numbers with a fraction as the filter's database writes them, which compares texts
    (0.00001 and 1e22 there are 1e-05 and 1e+22 in Python).
    """
    seen: dict[str, set[str]] = {}
    fractions: dict[str, set[float]] = {}
    for original in originals:
        for key, item in original.items():
            if isinstance(item, float):
                if np.isfinite(item):
                    fractions.setdefault(key, set()).add(item)
            elif isinstance(item, str | int):
                text = str(item).lower() if isinstance(item, bool) else str(item)
                seen.setdefault(key, set()).add(text)
    for key, numbers in fractions.items():
        if len(numbers) <= FACET_VALUES:
            seen.setdefault(key, set()).update(written(sorted(numbers)))
        else:
            seen.pop(key, None)
    return {
        key: sorted(values, key=natural)
        for key, values in sorted(seen.items())
        if 2 <= len(values) <= FACET_VALUES and max(map(len, values)) <= 60
    }
