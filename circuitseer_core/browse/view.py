"""The view ``samples`` of a scoring's shards, which every question in SQL is put to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from circuitseer_core.browse.filters import literal
from circuitseer_core.browse.sample import HasText, texts_table


def define_samples(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[Path], texts: Mapping[str, HasText]
) -> bool:
    """Make it; whether its rows have texts, their own or, where they have none, ``texts`` by id."""
    listed = "[" + ", ".join(literal(str(p)) for p in parts) + "]"
    connection.execute(
        "CREATE VIEW stored AS SELECT * FROM "
        f"read_parquet({listed}, filename = true, file_row_number = true)"
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
