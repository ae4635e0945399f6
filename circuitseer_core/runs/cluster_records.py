"""Clusters of a scoring's prompts: what was made, and which row is in which.

``scores/NAME/clusters/`` holds clusters.json (the record), rows.parquet (``id``, ``cluster``) and
the states that they come from, a file a shard.
"""

from __future__ import annotations

import hashlib

from pydantic import Field

from circuitseer_core.aliases import Ints
from circuitseer_core.runs.records import ModelRecord, Record

CLUSTERS_FORMAT = 1
CLUSTER = "circuitseer_cluster"
"""The column's name wherever a column of the data could be asked for."""
FOLDER = "clusters"
RECORD_FILE = "clusters.json"
ROWS_FILE = "rows.parquet"
NO_PROMPT = -1
"""The cluster of a row without a prompt."""
NO_PROMPT_NAME = "(no prompt)"
AGAIN = "cluster again"


def codes_hash(codes: Ints) -> str:
    """Hex SHA-256 of (N,) clusters, as the record has it of its rows."""
    return hashlib.sha256(codes.astype("<i8").tobytes()).hexdigest()


class Cluster(Record):
    """One cluster: how many rows, and the words that tell it from the others."""

    rows: int
    words: list[str] = Field(default_factory=list)


class ClusterRecord(Record):
    """clusters.json. ``clusters`` are numbered from the largest; ``sha256``: of the assignment
    (:func:`codes_hash`), by which it knows its rows."""

    latest_format = CLUSTERS_FORMAT
    format: int | None = None
    clusters: list[Cluster]
    rows: int
    fitted_rows: int
    seed: int
    max_length: int
    dtype: str
    width: int
    model: ModelRecord
    sha256: str
    created: str
    command: str

    def names(self) -> tuple[str, ...]:
        """The clusters as people read them: number and words; last the one of no prompt."""
        digits = len(str(len(self.clusters) - 1))
        named = [f"{n:0{digits}d} {' '.join(c.words)}".strip() for n, c in enumerate(self.clusters)]
        return (*named, NO_PROMPT_NAME)
