"""The columns of a shard (docs/files.md), from the numbers of one window."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.data.prompts import prompt_hashes
from circuitseer_core.data.sample import Sample
from circuitseer_core.model.encoding import EncodedText
from circuitseer_core.runs.columns import (
    ATTENTION_SCORERS,
    BASELINE_SCORERS,
    HEAD_FAMILIES,
    INFLUENCE,
    SINK_SHARE,
    control_column,
    head_column,
)
from circuitseer_core.scoring.scorers import HEAD_SCORERS, random_scores


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Numbers of n samples.

    scores: attention scorer -> (n,); sink_share: (n,) of ``variance``; controls: scorer ->
    (n, draws), NaN where a sample has none; profiles: n arrays (T,) that sum to 1; responses: (n,)
    tokens of the response, -1 where there is none; baselines: the opt-in scores, name -> (n,), or
    empty; readings: (n, F, H) of single heads, NaN for samples that have none, H = 0 where none do.
    """

    samples: Sequence[Sample]
    texts: Sequence[EncodedText]
    responses: Sequence[int]
    scores: Mapping[str, Floats]
    sink_share: Floats
    controls: Mapping[str, Floats]
    profiles: Sequence[NDArray[np.float32]]
    readings: NDArray[np.float32]
    baselines: Mapping[str, Floats]


def score_table(rows: ScoredRows, seed: int) -> pa.Table:
    """One Arrow table, columns as docs/files.md lists them; NaN becomes null."""
    ids = [sample.id for sample in rows.samples]
    lengths = np.array([len(text.ids) for text in rows.texts], dtype=np.int32)
    columns: dict[str, pa.Array] = {
        "id": pa.array(ids, pa.string()),
        "source": pa.array([sample.source for sample in rows.samples], pa.string()),
        "n_tokens": pa.array(lengths),
        "n_tokens_full": pa.array([text.n_full for text in rows.texts], pa.int32()),
        "n_response_tokens": pa.array([None if n < 0 else n for n in rows.responses], pa.int32()),
        "truncated": pa.array([text.truncated for text in rows.texts], pa.bool_()),
    }
    for name in ATTENTION_SCORERS:
        columns[name] = _numbers(rows.scores[name])
    columns[SINK_SHARE] = _numbers(rows.sink_share)
    columns["length"] = pa.array(lengths.astype(np.float64))
    columns["random"] = pa.array(random_scores(seed, ids))
    for name in (*BASELINE_SCORERS, INFLUENCE):
        if name in rows.baselines:
            columns[name] = _numbers(rows.baselines[name])
    for name in HEAD_SCORERS:
        for draw in range(rows.controls[name].shape[1]) if name in rows.controls else ():
            columns[control_column(name, draw)] = _numbers(rows.controls[name][:, draw])
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    columns["profile"] = _lists(offsets, rows.profiles, np.float16)
    columns["token_starts"] = _lists(offsets, [t.starts for t in rows.texts], np.int32)
    columns["special_mask"] = _lists(offsets, [t.special for t in rows.texts], np.bool_)
    if rows.readings.shape[2]:
        for family, name in enumerate(HEAD_FAMILIES):
            columns[head_column(name)] = _fixed(rows.readings[:, family])
    columns["prompt_hash"] = pa.array(prompt_hashes(s.prompt for s in rows.samples), pa.uint64())
    columns["prompt"] = pa.array([sample.prompt for sample in rows.samples], pa.string())
    columns["response"] = pa.array([sample.response for sample in rows.samples], pa.string())
    originals = [json.dumps(sample.original, ensure_ascii=False) for sample in rows.samples]
    columns["original"] = pa.array(originals, pa.string())
    return pa.table(columns)


def _numbers(values: Floats) -> pa.Array:
    return pa.array(values, mask=~np.isfinite(values), type=pa.float64())


def _fixed(values: NDArray[np.float32]) -> pa.Array:
    """A column of float16 lists of one size, of (n, H); null where a row is not finite."""
    flat = pa.array(values.astype(np.float16).ravel())
    missing = pa.array(~np.isfinite(values).all(1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=missing)


def _lists(offsets: Ints, items: Sequence[object], dtype: type) -> pa.Array:
    """A list column; the items' lengths are the differences of ``offsets``."""
    empty: NDArray[Any] = np.empty(0, dtype=dtype)
    flat = np.concatenate([empty, *(np.asarray(item, dtype=dtype) for item in items)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat))
