"""What the failure signatures look at, read once, only the columns needed, and never raising.

A run may have any stage done, half done or broken. Every property here is ``None`` (or empty) where
its table is missing or unreadable, so that one broken file costs its own checks and no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from circuitseer_core.aliases import Floats, Head, Ints
from circuitseer_core.checksums import is_damaged, is_whole
from circuitseer_core.detection.heads import select_heads
from circuitseer_core.errors import UserError
from circuitseer_core.runs.columns import DRAWS, SINK_SHARE, control_column, control_columns
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import DetectRecord, ScoringRecord
from circuitseer_core.runs.selection_records import SelectionRecord, newest_of


@dataclass(frozen=True)
class Scored:
    """One scoring's numbers, rows in data order.

    ``score`` (N,) NaN where missing; ``tokens`` (N,); ``source`` (N,) numbers into ``names``, −1
    where missing; ``controls``: the random-head scores, (N,) each, null outside their subsample.
    """

    score: Floats
    tokens: Floats
    source: Ints
    names: list[str]
    controls: list[Floats]

    def __len__(self) -> int:
        """The number of scored rows."""
        return len(self.score)


class Evidence:
    """Lazily read tables of one run.

    Args:
        run: the run.
        scoring: which of its scorings; ``default``, else the first there is.
        scorer: the column in question; that of the newest selection, else ``variance``.
        selection: which selection; the newest from this scoring (and scorer, if given). Scoring and
            scorer are then its own.
    """

    def __init__(
        self,
        run: Run,
        scoring: str | None = None,
        scorer: str | None = None,
        selection: str | None = None,
    ) -> None:
        self.run = run
        self._selection = None if selection is None else run.selection(selection)
        if self._selection is not None:
            scoring, scorer = self._selection.scores, self._selection.settings.scorer
        self._scoring = scoring
        self._scorer = scorer

    @cached_property
    def heads(self) -> pd.DataFrame | None:
        """heads.parquet."""
        try:
            table = self.run.heads()
        except UserError:
            return None
        needed = {"layer", "head", "importance", "stderr", "n", "rank"}
        return table if needed <= set(table.columns) and len(table) else None

    @cached_property
    def chosen(self) -> list[Head]:
        """The reasoning heads: those the scores were computed with, else the default share."""
        if self.settings.heads:
            return self.settings.heads
        if self.heads is None:
            return []
        try:
            return select_heads(self.heads)
        except (UserError, KeyError):
            return []

    @cached_property
    def detection(self) -> DetectRecord:
        """The section ``detect`` of run.json."""
        return self.run.detection

    @cached_property
    def scoring(self) -> str | None:
        """The scoring in question."""
        if self._scoring is not None:
            return self._scoring
        names = self.run.scorings()
        return names[0] if names else None

    @cached_property
    def settings(self) -> ScoringRecord:
        """settings.json of the scoring; nothing set without one."""
        if self.scoring is None:
            return ScoringRecord()
        try:
            return self.run.scoring(self.scoring)
        except UserError:
            return ScoringRecord()

    @cached_property
    def selection(self) -> SelectionRecord | None:
        """selection.json of the selection in question."""
        if self._selection is not None:
            return self._selection
        return newest_of(self.run.selection_records().values(), self.scoring, self._scorer)

    @cached_property
    def scorer(self) -> str:
        """The scorer in question."""
        if self._scorer is not None:
            return self._scorer
        if self.selection is not None:
            return self.selection.settings.scorer
        known = self.settings.scorers or ["variance"]
        return "variance" if "variance" in known else known[0]

    @cached_property
    def scored(self) -> Scored | None:
        """The scoring's numbers, or None before the first finished shard."""
        table = self._read_scores(
            ["source", "n_tokens", self.scorer]
            + [control_column(self.scorer, draw) for draw in range(DRAWS)]
        )
        if table is None or self.scorer not in table.column_names or not table.num_rows:
            return None
        source = _column(table, "source")
        codes, labels = pd.factorize(source) if source is not None else (None, [])
        nothing = np.full(table.num_rows, np.nan)
        names = control_columns(self.scorer, table.column_names)
        controls = [_floats(table, name) for name in names]
        score, tokens = _floats(table, self.scorer), _floats(table, "n_tokens")
        return Scored(
            score=nothing if score is None else score,
            tokens=nothing if tokens is None else tokens,
            source=np.full(table.num_rows, -1) if codes is None else codes.astype(np.int64),
            names=[str(label) for label in labels],
            controls=[c for c in controls if c is not None and np.isfinite(c).any()],
        )

    @cached_property
    def sink_share(self) -> Floats | None:
        """(N,) share of ``variance`` that the first token makes; None where it is not recorded."""
        table = self._read_scores([SINK_SHARE])
        return None if table is None or not table.num_rows else _floats(table, SINK_SHARE)

    @cached_property
    def probe(self) -> pd.DataFrame | None:
        """id and source of the probe samples (not of the contrast set)."""
        rows = self._small(self.run.probe_path, ["id", "set", "source"])
        return None if rows is None else rows[rows["set"] == "probe"]

    @cached_property
    def pool(self) -> pd.DataFrame | None:
        """id and source of the samples that the probe was chosen from."""
        return self._small(self.run.pool_path, ["id", "source"])

    def count_scored_ids(self, ids: list[str]) -> int | None:
        """How many scored rows have one of these ids; None before the first shard."""
        table = self._read_scores(["id"])
        if table is None or "id" not in table.column_names:
            return None
        column = table["id"]
        scored = pc.is_in(column, value_set=pa.array(ids, column.type))
        return int(pc.sum(scored).as_py() or 0)

    @cached_property
    def damaged(self) -> Path | None:
        """The first shard that is not as it was written; no number is read then."""
        parts = self._parts()
        return next((part for part in parts if is_whole(part) is False), None)

    @cached_property
    def unreadable(self) -> bool:
        """Whether there are scores, and none can be read."""
        return bool(self._parts()) and self._read_scores(["id"]) is None

    def _parts(self) -> list[Path]:
        if self.scoring is None:
            return []
        return sorted(self.run.scores_dir(self.scoring).glob("part-*.parquet"))

    def _read_scores(self, columns: list[str]) -> pa.Table | None:
        files = [str(part) for part in self._parts()]
        if not files or self.damaged is not None:
            return None
        try:
            options = ds.ParquetReadOptions(dictionary_columns={"source"})
            data = ds.dataset(files, format=ds.ParquetFileFormat(read_options=options))
            return data.to_table(columns=[c for c in columns if c in data.schema.names])
        except (OSError, pa.ArrowException):
            return None

    @staticmethod
    def _small(path: Any, columns: list[str]) -> pd.DataFrame | None:
        if is_damaged(path):
            return None
        try:
            return pd.read_parquet(path, columns=columns)
        except (OSError, ValueError, KeyError, pa.ArrowException):
            return None


def _column(table: pa.Table, name: str) -> pd.Series | None:
    return table[name].to_pandas() if name in table.column_names else None


def _floats(table: pa.Table, name: str) -> Floats | None:
    """A column as float64, NaN where null; None where it is missing or no number."""
    if name not in table.column_names:
        return None
    try:
        values = pc.cast(table[name], pa.float64()).to_numpy()
    except pa.ArrowException:
        return None
    return np.asarray(values, dtype=np.float64)
