"""What a model makes of a prompt as a whole: the mean of its final hidden states.

state = mean over tokens 1 … T−1 of h_t, with h the hidden states (T, d) that the LM head reads. The
first token is left out where there are others: most heads park their attention on it and its state
says nothing of the text (docs/method.md). One plain forward pass, of the prompt, whatever text was
scored.

Kept a file a shard of the scoring (``id``, ``state``: d numbers in float16), each with a mark of
all that it depends on: what is finished is never done again, and other numbers of clusters need no
second pass.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from circuitseer_core.checksums import is_whole, write_table
from circuitseer_core.files import atomic_path
from circuitseer_core.model.batches import group_by_tokens, pad
from circuitseer_core.model.encoding import encode_texts
from circuitseer_core.model.memory import fitting, release, too_long
from circuitseer_core.model.reference import ReferenceModel

BATCH_TOKENS = {"cpu": 2048, "cuda": 16_384}
_MARK = b"circuitseer_states"
_LARGEST = float(np.finfo(np.float16).max)


def mean_states(
    reference: ReferenceModel,
    prompts: Sequence[str],
    *,
    max_length: int,
    token_budget: int,
    on_batch: Callable[[int], object] = lambda n: None,
) -> NDArray[np.float16]:
    """(n, d) the mean final hidden state of each prompt; NaN where a prompt has no token.

    Args:
        max_length: longer prompts are cut after so many tokens.
        token_budget: tokens of a batch, padding included; halved where memory runs out.
        on_batch: called after every batch with its number of prompts.

    Raises:
        UserError: memory does not hold one prompt.
    """
    texts = encode_texts(reference.tokenizer, list(prompts), max_length) if prompts else []
    width = int(reference.model.get_output_embeddings().weight.shape[1])
    states = np.full((len(texts), width), np.nan, dtype=np.float16)
    with_tokens = [i for i, text in enumerate(texts) if text.ids]
    groups = group_by_tokens([len(texts[i].ids) for i in with_tokens], token_budget)
    waiting = [[with_tokens[k] for k in group] for group in groups]
    while waiting:
        group = waiting.pop(0)
        means = fitting(partial(_means, reference, [texts[i].ids for i in group]))
        if means is None:
            release(reference.device)
            if len(group) == 1:
                raise too_long(len(texts[group[0]].ids))
            half = len(group) // 2
            waiting[:0] = [group[:half], group[half:]]
            continue
        states[group] = np.clip(means, -_LARGEST, _LARGEST)
        on_batch(len(group))
    on_batch(len(texts) - len(with_tokens))
    return states


def _means(reference: ReferenceModel, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """(B, d) float32 means over each sequence's tokens but the first."""
    with torch.inference_mode():
        hidden = reference.hidden(pad(ids, reference.device))
        lengths = torch.tensor([len(s) for s in ids], device=hidden.device)
        place = torch.arange(hidden.shape[1], device=hidden.device)
        first = (lengths > 1).long()
        taken = (place >= first[:, None]) & (place < lengths[:, None])
        weights = taken.float() / taken.sum(-1, keepdim=True)
        return torch.einsum("bt,btd->bd", weights, hidden.float()).cpu().numpy()


def states_mark(facts: dict[str, object]) -> str:
    """16 hex digits of what states depend on besides the rows."""
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def shard_states(
    reference: ReferenceModel,
    rows: Iterator[tuple[str, str | None, str | None]],
    sizes: Sequence[int],
    folder: Path,
    mark: str,
    *,
    max_length: int,
    on_rows: Callable[[int], object],
    on_kept: Callable[[int], object],
) -> list[Path]:
    """A file of states for every shard; those that are there and whole are left as they are.

    Args:
        rows: id, prompt and response of every row of the scoring, in data order.
        sizes: the shards' rows.
        mark: of :func:`states_mark`; files with another one are made anew.
        on_rows: called with the number of rows done; on_kept: of those that were done before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    budget = BATCH_TOKENS.get(reference.device.type, BATCH_TOKENS["cuda"])
    paths = [folder / f"states-{number:05d}.parquet" for number in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        shard = list(islice(rows, size))
        ids = [name for name, _, _ in shard]
        prompts = [prompt or "" for _, prompt, _ in shard]
        own = f"{mark}-{_digest(ids, prompts)}"
        if _has(path, own):
            on_kept(size)
            continue
        states = mean_states(
            reference, prompts, max_length=max_length, token_budget=budget, on_batch=on_rows
        )
        states[[not prompt for prompt in prompts]] = np.nan
        _write(path, ids, states, own)
    for path in set(folder.glob("states-*.parquet")) - set(paths):
        path.unlink()
    return paths


def read_states(path: Path) -> NDArray[np.float16]:
    """(n, d) the states of a shard."""
    column = pq.read_table(path, columns=["state"])["state"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


def _write(path: Path, ids: Sequence[str], states: NDArray[np.float16], mark: str) -> None:
    flat = pa.array(states.reshape(-1), type=pa.float16())
    column = pa.FixedSizeListArray.from_arrays(flat, states.shape[1])
    table = pa.table({"id": pa.array(ids, pa.string()), "state": column})
    with atomic_path(path) as temporary:
        write_table(temporary, table.replace_schema_metadata({_MARK: mark.encode()}))


def _has(path: Path, mark: str) -> bool:
    """Whether a shard's states are there, whole, and of these rows and settings."""
    if not path.is_file() or not is_whole(path):
        return False
    return (pq.read_schema(path).metadata or {}).get(_MARK) == mark.encode()


def _digest(ids: Sequence[str], prompts: Sequence[str]) -> str:
    whole = json.dumps([ids, prompts], ensure_ascii=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]
