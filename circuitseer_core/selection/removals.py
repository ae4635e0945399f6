"""What decontamination and near-duplicates took out of a pool: the table, and what it came to.

``removed.parquet`` lies beside a selection: one row for each row of the pool that went, with the
question or the row that it went for. It is what a person reads, and what ``verify`` compares with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from circuitseer_core.aliases import Ints
from circuitseer_core.checksums import require_whole
from circuitseer_core.errors import UserError
from circuitseer_core.files import read_columns
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.integrity import remedy_for
from circuitseer_core.runs.selection_records import (
    BenchmarkFile,
    ContaminationRecord,
    NearDuplicateRecord,
    RemovalsRecord,
    SelectionRecord,
    SharedRun,
)
from circuitseer_core.selection.decontaminate import (
    MATCH_COLUMNS,
    Contamination,
    contamination_of,
)
from circuitseer_core.selection.near_duplicates import (
    PERMUTATIONS,
    SHINGLE,
    NearDuplicates,
    band_rows,
)
from circuitseer_core.selection.pool import Pool
from circuitseer_core.selection.sift import REASONS, Sifted
from circuitseer_core.wording import count

REMOVED_FILE = "removed.parquet"
COLUMNS = ("id", "source", "rule", "matched", "similarity", "found_in", "evidence")
_COMMON = 10
_DIGITS = 9


def removed_frame(pool: Pool, sifted: Sifted, contamination: Contamination | None) -> pd.DataFrame:
    """removed.parquet: what went, why, and for what; by rule and id.

    id, source, rule (contaminated, near_duplicate), matched (a benchmark's question, or the id of
    the row that stays), similarity (share of the text's runs that benchmarks have, or the Jaccard
    index), found_in (prompt or response), evidence (the shared run of words).
    """
    frames = [pd.DataFrame(columns=list(COLUMNS))]
    names = np.array(pool.names, dtype=object)
    if contamination is not None:
        out = np.flatnonzero(sifted.reason == REASONS.index("contaminated"))
        frame = _named(pool, names, out, "contaminated")
        if len(frame):
            frames.append(frame.merge(contamination.matches, on="id", how="left"))
    if sifted.instead is not None and sifted.similarity is not None:
        out = np.flatnonzero(sifted.reason == REASONS.index("near_duplicate"))
        frame = _named(pool, names, out, "near_duplicate")
        matched = [str(pool.ids[int(row)]) for row in sifted.instead[out]]
        frames.append(
            frame.assign(
                matched=matched,
                similarity=sifted.similarity[out],
                found_in="prompt",
                evidence="",
            )
        )
    frame = pd.concat([f for f in frames if len(f)] or frames[:1], ignore_index=True)
    texts = {name: str for name in COLUMNS if name != "similarity"}
    frame = frame[list(COLUMNS)].astype({**texts, "similarity": np.float64})
    return frame.sort_values(["rule", "id"], ignore_index=True)


def _named(pool: Pool, names: NDArray[np.object_], rows: Ints, rule: str) -> pd.DataFrame:
    ids = [str(pool.ids[int(row)]) for row in rows]
    return pd.DataFrame({"id": ids, "source": names[pool.source[rows]], "rule": rule})


def removed_hash(frame: pd.DataFrame) -> str:
    """SHA-256 over the table's rows, a line each."""
    digest = hashlib.sha256()
    for row in frame[list(COLUMNS)].itertuples(index=False):
        cells = (f"{v:.{_DIGITS}g}" if isinstance(v, float) else str(v) for v in row)
        digest.update("\t".join(cells).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def removals_record(
    frame: pd.DataFrame,
    contamination: Contamination | None,
    near: NearDuplicates | None,
) -> RemovalsRecord | None:
    """What went, in numbers; None where neither was asked for."""
    if contamination is None and near is None:
        return None
    record = RemovalsRecord(sha256=removed_hash(frame), rows=len(frame))
    if contamination is not None:
        own = frame[frame["rule"] == "contaminated"]
        common = own["evidence"].value_counts()
        common = common.reset_index().sort_values(["count", "evidence"], ascending=[False, True])
        record.contamination = ContaminationRecord(
            n=contamination.n,
            benchmarks=list(contamination.files),
            removed=len(own),
            common=[
                SharedRun(words=words, rows=int(rows))
                for words, rows in common.head(_COMMON).itertuples(index=False)
            ],
        )
    if near is not None:
        rows = band_rows(near.threshold)
        record.near_duplicates = NearDuplicateRecord(
            threshold=near.threshold,
            shingle=SHINGLE,
            permutations=PERMUTATIONS,
            bands=PERMUTATIONS // rows,
            candidates=near.candidates,
            pairs=len(near.left),
            removed=int((frame["rule"] == "near_duplicate").sum()),
        )
    return record


def removal_lines(record: RemovalsRecord | None) -> list[str]:
    """What went, in one sentence a rule."""
    if record is None:
        return []
    lines = []
    if (contamination := record.contamination) is not None:
        questions = sum(file.questions for file in contamination.benchmarks)
        short = sum(file.short for file in contamination.benchmarks)
        of = "the benchmark's question" if questions == 1 else f"one of {questions:,} questions"
        whole = f" ({short:,} shorter, compared whole)" if short else ""
        rows = count(contamination.removed, "row")
        share = "shares" if contamination.removed == 1 else "share"
        lines.append(
            f"{rows} removed that {share} {contamination.n} words in a row with {of}{whole}"
        )
    if (near := record.near_duplicates) is not None:
        lines.append(
            f"{count(near.removed, 'near-duplicate')} removed (Jaccard index of prompts' runs of "
            f"{near.shingle} words at least {near.threshold:g}; {count(near.candidates, 'pair')} "
            f"compared, {near.pairs:,} as near as that)"
        )
    return lines


def stored_removals(run: Run, selection: SelectionRecord) -> pd.DataFrame:
    """removed.parquet of a selection. Raises UserError where it is missing or damaged."""
    path = run.selection_dir(selection.name) / REMOVED_FILE
    if not path.is_file():
        raise UserError(f"{path} is missing: what was removed from the pool is not known")
    require_whole(path, remedy_for(run.path, path))
    return read_columns([path], list(COLUMNS))


def stored_contamination(
    frame: pd.DataFrame, n: int, files: Iterable[BenchmarkFile]
) -> Contamination:
    """The contaminated rows as a selection kept them, for where its benchmarks are gone."""
    own = frame[frame["rule"] == "contaminated"]
    return contamination_of(own[list(MATCH_COLUMNS)].reset_index(drop=True), n, list(files))
