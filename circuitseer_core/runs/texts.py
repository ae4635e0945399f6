"""The texts behind scored rows, fetched for the rows that are wanted and no others.

Shards hold prompt, response and the original row. The bundled demo run holds numbers only: its
texts come, by id, from the data packages it was made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from circuitseer_core.aliases import Hashes, Ints
from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.demo import available
from circuitseer_core.data.prompts import prompt_hashes
from circuitseer_core.data.sample import Sample
from circuitseer_core.errors import UserError
from circuitseer_core.files import read_table_rows
from circuitseer_core.runs.columns import TEXT_COLUMNS
from circuitseer_core.runs.folder import Run


def pool_prompts(run: Run, scores: str) -> Hashes | None:
    """(N,) hashes of the normalised prompts of a scoring, in shard order.

    None where neither the run nor the demo packages have any text.
    """
    parts = run.score_parts(scores)
    stamps = tuple((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in parts)
    hashes = _prompts_of(stamps)
    if hashes.any() or not len(hashes):
        return hashes
    known = {key: sample.prompt for key, sample in demo_texts().items()}
    if not known:
        return None
    ids = run.scores(scores, ["id"])["id"]
    by_text = prompt_hashes(known.get(str(sample)) for sample in ids)
    return by_text if by_text.any() else None


@lru_cache(maxsize=2)
def _prompts_of(stamps: tuple[tuple[str, int, int], ...]) -> Hashes:
    """Kept while the files stay as they are: turning a dial in the app draws again and again."""
    empty = np.empty(0, np.uint64)
    hashes = np.concatenate([empty, *(_part_hashes(Path(path)) for path, _, _ in stamps)])
    hashes.setflags(write=False)
    return hashes


def chosen_texts(run: Run, scores: str, ids: Sequence[str]) -> pa.Table:
    """id, prompt, response, original (JSON) of these samples, in this order.

    Only row groups that hold one of them are read.

    Raises:
        UserError: a sample is not in the scoring, or no text of it is at hand.
    """
    parts = run.whole_score_parts(scores)
    for part in parts:
        _require_texts(part)
    rows = _row_numbers(parts, ids)
    if (rows < 0).any():
        missing = int((rows < 0).sum())
        first = ids[int(np.flatnonzero(rows < 0)[0])]
        raise UserError(
            f"{missing} chosen samples are no longer in scoring {scores!r} of {run.path} "
            f"(the first is {first}): draw the selection again"
        )
    table = read_table_rows(parts, rows, TEXT_COLUMNS)
    if table["original"].null_count:
        table = _from_demo(table, run)
    return table


def scored_texts(run: Run, scores: str) -> Iterator[tuple[str, str | None, str | None]]:
    """id, prompt and response of every row of a scoring, in data order; demo texts come by id.

    Raises:
        UserError: a shard is damaged, or no row has a prompt at hand.
    """
    seen = rows = 0
    known: dict[str, Sample] | None = None
    for part in run.whole_score_parts(scores):
        with pq.ParquetFile(part) as parquet:
            have = [n for n in ("prompt", "response") if n in parquet.schema_arrow.names]
            for batch in parquet.iter_batches(8192, columns=["id", *have]):
                for row in batch.to_pylist():
                    sample, prompt, response = row["id"], row.get("prompt"), row.get("response")
                    if prompt is None:
                        known = demo_texts() if known is None else known
                        if (text := known.get(sample)) is not None:
                            prompt, response = text.prompt, text.response
                    rows += 1
                    seen += bool(prompt)
                    yield sample, prompt, response
    if rows and not seen:
        raise UserError(f"{run.path} holds numbers without texts: its prompts are not at hand")


def pool_texts(run: Run, scores: str) -> Iterator[pa.Table]:
    """id, prompt, response, original (JSON) of every row of a scoring, a shard at a time.

    Raises:
        UserError: a shard is damaged or has no texts, and the demo packages have none either.
    """
    for part in run.whole_score_parts(scores):
        _require_texts(part)
        table = pq.read_table(part, columns=TEXT_COLUMNS).replace_schema_metadata()
        yield _from_demo(table, run) if table["original"].null_count else table


def _require_texts(part: Path) -> None:
    """Raise UserError for a shard of other hands, whose ids and scores are all it must have."""
    missing = set(TEXT_COLUMNS) - set(pq.read_schema(part).names)
    if missing:
        raise UserError(f"{part} has no column {min(missing)!r}: the texts are not at hand")


def _part_hashes(part: Path) -> Hashes:
    with pq.ParquetFile(part) as parquet:
        have = parquet.schema_arrow.names
        if "prompt_hash" in have:
            column = parquet.read(columns=["prompt_hash"]).column(0)
            return np.asarray(column.to_numpy(), dtype=np.uint64)
        if "prompt" not in have:  # a shard of other hands: ids and scores are all it must have
            return np.zeros(parquet.metadata.num_rows, np.uint64)
        batches = parquet.iter_batches(8192, columns=["prompt"])
        prompts = (text for batch in batches for text in batch.column(0).to_pylist())
        return prompt_hashes(prompts)


def _row_numbers(parts: Sequence[Path], ids: Sequence[str]) -> Ints:
    """(k,) row of each id, counted through all parts; -1 where it is in none."""
    wanted = pd.Index(ids)
    rows = np.full(len(ids), -1, dtype=np.int64)
    start = 0
    for part in parts:
        have = pd.read_parquet(part, columns=["id"])["id"]
        spots = wanted.get_indexer(have)
        known = np.flatnonzero(spots >= 0)
        rows[spots[known]] = start + known
        start += len(have)
    return rows


def _from_demo(table: pa.Table, run: Run) -> pa.Table:
    """Fill rows without text from the demo packages."""
    known = demo_texts()
    rows = table.to_pylist()
    for row in rows:
        if row["original"] is not None:
            continue
        sample = known.get(row["id"])
        if sample is None:
            why = available() or f"no text of {row['id']} is at hand"
            raise UserError(f"{run.path} holds numbers without texts: {why}")
        row["prompt"], row["response"] = sample.prompt, sample.response
        row["original"] = json.dumps(sample.original, ensure_ascii=False)
    text = pa.string()
    return pa.Table.from_pylist(rows, pa.schema([(name, text) for name in TEXT_COLUMNS]))


def demo_corpus() -> Iterator[Sample]:
    """Every sample of the demo corpus, sources mixed. Raises UserError without the packages."""
    return (entry for entry in Corpus(["demo"]) if isinstance(entry, Sample))


def demo_texts() -> dict[str, Sample]:
    """The demo samples by id; empty where the data packages are absent."""
    return {} if available() else {sample.id: sample for sample in demo_corpus()}
