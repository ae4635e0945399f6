"""Ask questions of a scoring without loading it: DuckDB over the Parquet shards of a run.

The app shows one page of a million rows at a time. So filters, order and paging happen in SQL,
which reads only the columns that are asked for; whole columns are fetched as arrays for figures,
texts and profiles, hundreds of times the size of the numbers, for the rows in view alone.

Runs that hold numbers but no texts (the bundled demo) are joined with texts given by id, so that
search and columns of the original rows work there as everywhere.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.browse import places
from circuitseer_core.browse.filters import (
    FINITE,
    Filter,
    json_value,
    literal,
    ordering,
    quoted,
)
from circuitseer_core.browse.groupings import (
    FACET_VALUES,
    Grouping,
    encode,
    number_groups,
    values_of,
)
from circuitseer_core.browse.sample import HasText, ScoredSample, from_row
from circuitseer_core.browse.searches import Searches
from circuitseer_core.browse.view import define_samples
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.files import stamp
from circuitseer_core.json_io import json_object
from circuitseer_core.runs.clusters import cluster_files
from circuitseer_core.runs.columns import FIXED, WIDE, control_columns, score_columns
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.shapes import check_shards


class ScoreStore:
    """The rows of one scoring. Safe to share between threads.

    Args:
        run: the run folder.
        name: which scoring.
        texts: texts by id, used only where the run itself holds none.
        memory: the most that DuckDB may use before it spills to a temporary folder.

    Raises:
        UserError: no such scoring, no finished shard, or a shard that cannot be read.
    """

    def __init__(
        self,
        run: Run,
        name: str = "default",
        texts: Mapping[str, HasText] | None = None,
        memory: str = "512MB",
    ) -> None:
        self.parts = run.score_parts(name)
        if not self.parts:
            raise UserError(f"{run.path}: scoring {name!r} has no finished shard yet")
        self.run, self.name, self.settings = run, name, run.scoring(name)
        check_shards(self.parts)
        stamps = stamp([*self.parts, *cluster_files(run, name)])  # clusters share draws out
        self.key = (str(run.path.resolve()), name, stamps, bool(texts))
        self._connection = duckdb.connect()
        self._searches = Searches(self._one)
        with self._reading():
            self._connection.execute(f"SET memory_limit = {literal(memory)}")
            self._connection.execute(f"SET temp_directory = {literal(tempfile.gettempdir())}")
            few = ds.ParquetReadOptions(dictionary_columns={"source"})  # few names, many rows
            files = ds.ParquetFileFormat(read_options=few)
            self._dataset = ds.dataset([str(p) for p in self.parts], format=files)
            # (shards,) places of their first rows
            self.starts = np.cumsum([0, *(pq.read_metadata(p).num_rows for p in self.parts)])[:-1]
            self.columns: list[str] = list(self._dataset.schema.names)
            self.has_texts = define_samples(self._connection, self.parts, texts or {})
            self.rows = int(self._one("SELECT count(*) FROM samples")[0])

    @property
    def scorers(self) -> list[str]:
        """Score columns in file order, without the random-head controls."""
        return score_columns(self.columns)

    def controls(self, scorer: str) -> list[str]:
        """Columns with the same score from random heads, in order."""
        return control_columns(scorer, self.columns)

    def sources(self) -> pd.DataFrame:
        """source, rows: most rows first."""
        return self.frame(
            "SELECT source, count(*) AS rows FROM samples GROUP BY 1 ORDER BY 2 DESC, 1"
        )

    def count(self, rows: Filter) -> int:
        """How many rows the filter admits."""
        if rows.empty:
            return self.rows
        where, values = self.where(rows)
        return int(self._one(f"SELECT count(*) FROM samples WHERE {where}", values)[0])

    def page(
        self,
        rows: Filter,
        *,
        scorer: str,
        descending: bool = True,
        offset: int = 0,
        limit: int = 25,
        snippet: int = 240,
    ) -> pd.DataFrame:
        """One page: id, source, n_tokens, score, text (the first ``snippet`` characters).

        Ordered by score, ties by id; rows without a score come last. Two queries: a sort that
        carries texts along is ten times slower, and the second reads only the rows concerned.
        """
        where, values = self.where(rows)
        name = quoted(self._known(scorer))
        numbers = self.frame(
            f"SELECT id, source, n_tokens, {name} AS score, {places.COLUMNS} FROM samples "
            f"WHERE {where} ORDER BY {ordering(name, descending)} "
            f"LIMIT {int(limit)} OFFSET {int(offset)}",
            values,
        )
        texts = self.texts_at(self.in_data_order(numbers), snippet)
        return numbers.assign(text=numbers["id"].map(texts))

    def texts_at(self, rows: Ints, snippet: int = 240) -> dict[str, str]:
        """The first ``snippet`` characters of ``rows`` (n,), places in data order, by id."""
        frame = self._at_places(f"id, {self._snippet(snippet)} AS text", rows)
        return dict(zip(frame["id"].astype(str), frame["text"].astype(str), strict=True))

    def ids_at(self, rows: Ints) -> list[str]:
        """The ids of some rows, given by their places in data order."""
        with self._reading():
            return [str(i) for i in self._dataset.take(rows, columns=["id"]).column(0).to_pylist()]

    def table(self, columns: list[str]) -> pa.Table:
        """Whole columns of all rows, in data order; ``source`` as a dictionary."""
        with self._reading():
            return self._dataset.to_table(columns=columns)

    def at_rank(self, rows: Filter, scorer: str, rank: int) -> str | None:
        """The id of rank ``rank`` (1 = highest score) among the rows; None past either end."""
        return self._at(rows, scorer, rank - 1, self.count(self._scored(rows, scorer)))

    def at_percentile(self, rows: Filter, scorer: str, percentile: float) -> str | None:
        """The id whose score stands at ``percentile`` (0 lowest, 100 highest) among the rows."""
        total = self.count(self._scored(rows, scorer))
        share = 1 - min(max(percentile, 0.0), 100.0) / 100
        return self._at(rows, scorer, round((total - 1) * share), total)

    def at_random(self, rows: Filter, seed: int) -> str | None:
        """A row drawn evenly: the one whose hash of (seed, id) is smallest; None of no rows.

        The hash is DuckDB's: the same row for the same seed until DuckDB is upgraded.
        """
        where, values = self.where(rows)
        row = self._one(
            f"SELECT arg_min(id, hash(concat(?, id))) FROM samples WHERE {where}",
            [f"{seed}\x1f", *values],
        )
        return None if row[0] is None else str(row[0])

    def rank(self, sample_id: str, scorer: str, rows: Filter | None = None) -> tuple[int, int]:
        """(rank, scored rows): rank 1 is the highest score, (0, 0) where the sample has none.

        Raises UserError for an unknown id.
        """
        name = quoted(self._known(scorer))
        own = self._one(f"SELECT {name} FROM samples WHERE id = ?", [sample_id])
        if own is None:
            raise UserError(f"no sample has the id {sample_id!r}")
        if own[0] is None or not np.isfinite(own[0]):
            return 0, 0
        where, values = self.where(self._scored(rows or Filter(), scorer))
        above, total = self._one(
            f"SELECT count(*) FILTER (({name} > ?) OR ({name} = ? AND id < ?)), count(*) "
            f"FROM samples WHERE {where}",
            [own[0], own[0], sample_id, *values],
        )
        return int(above) + 1, int(total)

    def sample(self, sample_id: str) -> ScoredSample:
        """One row with its profile and texts. Raises UserError for an unknown id."""
        return self.samples([sample_id])[0]

    def rows_of(self, sample_ids: Collection[str]) -> Ints:
        """(n,) places in data order of the rows that have one of these ids, in any order."""
        asked = "id IN (SELECT unnest(?::VARCHAR[]))"
        query = f"SELECT {places.COLUMNS} FROM samples WHERE {asked}"
        return self.in_data_order(self.frame(query, [list(sample_ids)]))

    def samples(self, sample_ids: Sequence[str]) -> list[ScoredSample]:
        """The rows of these ids, in their order, read at once. Raises UserError as ``sample``."""
        frame = self._at_places("*", self.rows_of(sample_ids))
        rows = {str(row["id"]): row for _, row in frame.iterrows()}
        if unknown := [name for name in sample_ids if name not in rows]:
            raise UserError(f"no sample has the id {unknown[0]!r}")
        scored = [c for c in self.columns if c not in FIXED | WIDE]
        return [from_row(rows[name], scored, self.settings.text) for name in sample_ids]

    def in_data_order(self, frame: pd.DataFrame) -> Ints:
        """(n,) places of the rows of an answer, whose ``places.COLUMNS`` are taken out."""
        return places.in_data_order(frame, self.parts, self.starts)

    def _at_places(self, columns: str, rows: Ints) -> pd.DataFrame:
        """Columns (as SQL) of ``rows`` (n,), places in data order; the order may be another.

        By place, since a list of ids has DuckDB unpack these columns of every row it passes.
        """
        asked = places.by_shard(rows, self.parts, self.starts) or ["false"]
        frames = [self.frame(f"SELECT {columns} FROM samples WHERE {where}") for where in asked]
        return pd.concat(frames, ignore_index=True)

    def numbers(self, column: str) -> Floats:
        """One number column of all rows, in data order: (N,) float64, NaN where null."""
        return self.numbers_together([column])[0]

    def numbers_together(self, columns: Sequence[str]) -> list[Floats]:
        """Several such columns, which is quicker than one after the other."""
        table = self.table([self._known(column) for column in columns])
        values = [column.cast(pa.float64()).to_numpy() for column in table.columns]
        return [np.asarray(each, dtype=np.float64) for each in values]

    def groups(self, column: str = "source") -> Grouping:
        """``source``, or a column of the original rows, as codes in data order.

        Labels are sorted by row count, most first, or in their natural order where they are
        levels; only the first ``FACET_VALUES`` values of a column of the original rows keep a
        label, the others become -1. A column of more different numbers is binned.
        """
        if column == "source":
            values = self.table(["source"]).column(0)
        else:
            values = self._of_every_row(json_value(column))
        if column != "source" and pc.count_distinct(values).as_py() > FACET_VALUES:
            numbers = self.original_numbers(column)
            if np.isfinite(numbers).sum() == len(values) - values.null_count:
                return number_groups(numbers)
        return encode(values, None if column == "source" else FACET_VALUES)

    def original_numbers(self, column: str) -> Floats:
        """A column of the original rows as numbers: (N,), NaN where it is none."""
        values = self._of_every_row(f"TRY_CAST({json_value(column)} AS DOUBLE)")
        return np.asarray(values.to_numpy(), dtype=np.float64)

    def _of_every_row(self, value: str) -> pa.ChunkedArray:
        """(N,) a value (as SQL) of every row, in data order."""
        with self._reading():
            query = f"SELECT {value} AS v FROM samples"
            return self._connection.cursor().sql(query).to_arrow_table().column(0)

    def facets(
        self, originals: Iterable[Mapping[str, object]] | None = None
    ) -> dict[str, list[str]]:
        """Columns of the original rows with 2 to ``FACET_VALUES`` short values, sorted.

        ``originals``: what ``some_originals`` gives, where it is at hand.
        """
        return values_of(self.some_originals() if originals is None else originals, self._written)

    def _written(self, numbers: list[float]) -> list[str]:
        """Numbers of JSON as ``json_value`` reads them back."""
        row = self._one("SELECT json_extract_string(?, '$[*]')", [json.dumps(numbers)])
        return [str(text) for text in row[0]]

    def some_originals(self) -> list[dict[str, Any]]:
        """Original rows, at most 4,000 spread evenly over the data: rare values may miss."""
        step = max(1, -(-self.rows // 4000))
        rows = self.frame(
            "SELECT original FROM (SELECT original, row_number() OVER () AS n FROM samples) "
            f"WHERE n % {step} = 0"
        )
        return [json_object(original) for original in rows["original"].tolist()]

    def where(self, rows: Filter) -> tuple[str, list[Any]]:
        """The filter as SQL; a text is searched once and its hits are kept for later pages."""
        for scorer, _ in rows.scores:
            self._known(scorer)
        return rows.where(self._searches.hits(rows.text) if rows.text else None)

    def _scored(self, rows: Filter, scorer: str) -> Filter:
        return replace(rows, scores=(*rows.scores, (self._known(scorer), FINITE)))

    def _at(self, rows: Filter, scorer: str, place: int, total: int) -> str | None:
        """The id at ``place`` (0 = highest score) of the ``total`` rows with a score."""
        if not 0 <= place < total:
            return None
        where, values = self.where(self._scored(rows, scorer))
        name = quoted(scorer)
        upper = place <= total // 2  # the shorter way round: a top-N is cheaper than a full sort
        order = f"{name} DESC, id ASC" if upper else f"{name} ASC, id DESC"
        offset = place if upper else total - 1 - place
        row = self._one(
            f"SELECT id FROM samples WHERE {where} ORDER BY {order} LIMIT 1 OFFSET {offset}", values
        )
        return str(row[0])

    def _snippet(self, length: int) -> str:
        column = "response" if self.settings.text == "response" else "prompt"
        return f"coalesce(substr({column}, 1, {int(length)}), '')"

    def _known(self, column: str) -> str:
        if column not in self.columns or column in WIDE:
            known = ", ".join(self.scorers)
            raise UserError(f"this scoring has no column {column!r} (its scores: {known})")
        return column

    def _one(self, query: str, values: Sequence[Any] = ()) -> Any:
        with self._reading():
            return self._connection.cursor().execute(query, list(values)).fetchone()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what DuckDB and Arrow say of shards that cannot be read into one line."""
        try:
            yield
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            where = self.run.path
            raise UserError(f"{where}: the scores cannot be read: {one_line(error)}") from error

    def frame(self, query: str, values: Sequence[Any] = ()) -> pd.DataFrame:
        """The answer to any query over the view ``samples``. Raises UserError where it fails."""
        with self._reading():
            return self._connection.cursor().execute(query, list(values)).df()
