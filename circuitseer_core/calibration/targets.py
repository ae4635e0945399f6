"""The measure of difficulty that is fitted: a number, words with an order, a count, or verdicts.

A column is looked for in the scores, then in the rows of the data as they came, where words with an
order are read by data/ordinal.py.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass

import numpy as np

from circuitseer_core.aliases import Floats
from circuitseer_core.calibration.rows import Rows
from circuitseer_core.calibration.settings import COUNT, CalibrateSettings
from circuitseer_core.data.ordinal import ordinal
from circuitseer_core.errors import UserError
from circuitseer_core.runs.calibration_records import TargetRecord
from circuitseer_core.wording import listing


@dataclass(frozen=True, slots=True)
class Target:
    """``values``: (N,), higher is harder, NaN where unknown; ``levels``: of an ordinal target."""

    name: str
    kind: str
    values: Floats
    levels: list[str]
    unread: int

    def record(self, rows: Rows, length_correlation: float | None) -> TargetRecord:
        """What calibration.json says of it; ``rows`` are those with a value."""
        pairs = json.dumps([rows.ids, [float(v) for v in self.values]])
        return TargetRecord(
            name=self.name,
            kind=self.kind,
            rows=len(rows),
            levels=self.levels,
            unread=self.unread,
            sources=dict(sorted(Counter(rows.source.tolist()).items())),
            length_correlation=length_correlation,
            sha256=hashlib.sha256(pairs.encode()).hexdigest(),
        )


def read_target(rows: Rows, settings: CalibrateSettings) -> Target:
    """The target of every row.

    Raises:
        UserError: no such column, or its values are neither numbers nor words of a known order.
    """
    name = settings.target or ""
    if name.startswith(COUNT):
        return _counted(rows, name)
    if name in rows.numbers and not settings.levels:
        return Target(name, "number", rows.numbers[name], [], 0)
    raw = [row.get(name) for row in rows.originals]
    if all(value is None for value in raw):
        known = sorted({key for row in rows.originals for key in row} | set(rows.numbers))
        raise UserError(f"no column {name!r} with values; there are {listing(known, 20)}")
    try:
        values, levels = ordinal(raw, settings.levels, name)
    except UserError as error:
        raise UserError(f"{error}: give its words with --level, lowest first") from error
    unread = sum(
        value is not None and not np.isfinite(number)
        for value, number in zip(raw, values, strict=True)
    )
    return Target(name, "ordinal" if levels else "number", values, levels, unread)


def _counted(rows: Rows, name: str) -> Target:
    text = name.removeprefix(COUNT).replace("\\n", "\n")
    if not text:
        raise UserError(f"--target {COUNT}: say what to count")
    counts = [np.nan if r is None else float(r.count(text)) for r in rows.responses]
    return Target(name, "count", np.array(counts), [], 0)
