"""The view ``samples`` of a scoring's shards, which every question in SQL is put to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from circuitseer_core.browse.filters import literal
from circuitseer_core.browse.sample import HasText, texts_table

_PATTERN = re.compile(r"[*?\[]")
"""What DuckDB takes for a pattern of files: in a run's path it is a letter like any other, and
``source=x`` there is no column."""


def define_samples(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[Path], texts: Mapping[str, HasText]
) -> bool:
    """Make it; whether its rows have texts, their own or, where they have none, ``texts`` by id."""
    listed = ", ".join(literal(_PATTERN.sub(r"[\g<0>]", str(part))) for part in parts)
    connection.execute(
        f"CREATE VIEW stored AS SELECT * FROM read_parquet([{listed}], filename = true, "
        "file_row_number = true, hive_partitioning = false)"
    )

    def first(query: str) -> tuple[object, ...] | None:
        return connection.cursor().execute(query).fetchone()

    own = first("SELECT prompt IS NOT NULL OR response IS NOT NULL FROM stored LIMIT 1")
    if (own is not None and own[0]) or not texts:
        connection.execute("CREATE VIEW samples AS SELECT * FROM stored")
        return bool(own is not None and own[0])
    connection.register("given_texts", texts_table(texts))
    connection.execute("CREATE TABLE given AS SELECT * FROM given_texts")
    connection.execute(
        "CREATE VIEW samples AS SELECT stored.* REPLACE (given.prompt AS prompt, "
        "given.response AS response, given.original AS original) "
        "FROM stored LEFT JOIN given USING (id)"
    )
    return first("SELECT 1 FROM stored SEMI JOIN given USING (id) LIMIT 1") is not None
