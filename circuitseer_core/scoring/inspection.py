"""One sample under the live model: the full attention of a few heads, for looking at.

Scoring keeps profiles and no attention matrices. Here one sample is run again and the softmax rows
of the reasoning heads (or of one head) are kept; above 512 tokens they are max-pooled, so that a
bright cell stays visible and a picture stays small. Memory never holds a full T x T matrix then.
The first token is pooled with no other: it is the sink of most heads, and would lend its share to
the tokens beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from circuitseer_core.aliases import Head
from circuitseer_core.data.sample import Sample, scored_text
from circuitseer_core.errors import UserError
from circuitseer_core.model.attention import AttentionCall, Intervention, StopForward, intervening
from circuitseer_core.model.encoding import EncodedText, default_max_length, encode_texts
from circuitseer_core.model.live import live_model
from circuitseer_core.model.memory import fitting, release, too_long
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.texts import chosen_texts

MAX_SIDE = 512
_QUERIES = 256


@dataclass(frozen=True, slots=True, repr=False)
class Inspection:
    """What a few heads do on one sample of T tokens.

    Attributes:
        tokens: T pairs (text, character offset in the scored text).
        heads: n pairs (layer, head).
        attention: (n, S, S) float32, queries down, keys across; S = T up to 512. Else row and
            column 0 are the first token, row and column i > 0 the ``pool`` tokens from
            ``1 + (i - 1) * pool`` on, and each cell is the maximum over its pairs of tokens.
        profiles: (n, T) float32, each head's attention profile; sums to 1.
        profile: (T,) float32, their mean: what the sample was scored by, for the reasoning heads.
    """

    id: str
    text: str
    tokens: list[tuple[str, int]]
    heads: list[Head]
    attention: NDArray[np.float32]
    profiles: NDArray[np.float32]
    profile: NDArray[np.float32]
    pool: int

    def __repr__(self) -> str:
        named = ", ".join(f"({layer}, {head})" for layer, head in self.heads)
        return f"Inspection({self.id!r}: {len(self.tokens)} tokens, heads {named})"

    def to_json(self, digits: int = 5) -> dict[str, Any]:
        """The same as plain lists, rounded."""
        return {
            "id": self.id,
            "text": self.text,
            "tokens": [{"text": text, "start": start} for text, start in self.tokens],
            "heads": [list(head) for head in self.heads],
            "pool": self.pool,
            "profile": _rounded(self.profile, digits),
            "profiles": _rounded(self.profiles, digits),
            "attention": _rounded(self.attention, digits),
        }


def inspect_sample(
    run: Run,
    sample_id: str,
    name: str = "default",
    layer: int | None = None,
    head: int | None = None,
    reference: ReferenceModel | None = None,
    heads: Sequence[Head] | None = None,
) -> Inspection:
    """Run one scored sample through the model and keep what its heads attend to.

    Args:
        name: the scoring that the sample, its text and the reasoning heads are taken from.
        layer, head: look at this one head instead.
        heads: look at these instead.
        reference: the run's model, already loaded; else it is loaded, and kept for the next look.

    Raises:
        UserError: unknown scoring, sample or head; no text at hand; another model than the run's.
    """
    scoring = run.scoring(name)
    sample = _sample(run, name, sample_id)
    text = scored_text(scoring.text, sample.prompt, sample.response)
    if text is None:
        raise UserError(f"{sample_id} has no response, and responses were scored")
    wanted = scoring.heads if heads is None else list(heads)
    heads = _heads(run.model.heads_per_layer, wanted, layer, head)
    if reference is None:
        reference = live_model(run.model, scoring.dtype)
    longest = default_max_length(reference.max_positions, scoring.max_length)
    encoded = encode_texts(reference.tokenizer, [text], longest)[0]
    if not encoded.ids:
        raise UserError(f"{sample_id} has no tokens")
    observer = observe(reference, encoded.ids, heads)
    profiles = observer.profiles.numpy()
    return Inspection(
        id=sample_id,
        text=text,
        tokens=_token_texts(reference.tokenizer, text, encoded),
        heads=heads,
        attention=observer.attention.numpy(),
        profiles=profiles,
        profile=profiles.mean(0),
        pool=observer.pool,
    )


def observe(
    reference: ReferenceModel, ids: Sequence[int], heads: Sequence[Head]
) -> PatternObserver:
    """What some heads attend to on one text of T tokens, from one forward pass.

    Raises UserError where memory does not hold it.
    """

    def looked() -> PatternObserver:
        observer = PatternObserver(heads, len(ids))
        row = torch.tensor([list(ids)], device=reference.device)
        with torch.inference_mode(), intervening(observer), suppress(StopForward):
            reference.hidden(row)
        return observer

    observer = fitting(looked)
    if observer is None:
        release(reference.device)
        raise too_long(len(ids))
    return observer


class PatternObserver(Intervention):
    """Keeps the attention of some heads on a single row, pooled to at most 512 x 512.

    Attributes:
        attention: (n, S, S) on the CPU, filled layer by layer.
        profiles: (n, T) on the CPU.
        pool: tokens on the side of a cell, but for the first token, which stands alone.
    """

    def __init__(self, heads: Sequence[Head], length: int) -> None:
        self.length = length
        self.pool = max(1, -(-(length - 1) // (MAX_SIDE - 1)))
        side = 1 + -(-(length - 1) // self.pool)
        self.attention = torch.zeros(len(heads), side, side)
        self.profiles = torch.zeros(len(heads), length)
        self._slots: dict[int, list[tuple[int, int]]] = {}
        for slot, (layer, head) in enumerate(heads):
            self._slots.setdefault(layer, []).append((slot, head))

    def before(self, call: AttentionCall) -> None:
        """Keep one layer's heads; raise StopForward once no deeper layer is wanted."""
        for slot, head in self._slots.get(call.layer, []):
            self._keep(call, slot, head)
        if call.layer >= max(self._slots):
            raise StopForward

    def _keep(self, call: AttentionCall, slot: int, head: int) -> None:
        device = call.query.device
        row, which = torch.zeros(1, dtype=torch.long, device=device), torch.tensor([head])
        step = max(1, _QUERIES // self.pool) * self.pool
        for start, stop in self._blocks(step):
            pattern = call.pattern(row, which.to(device), start, stop)[0].cpu()  # (q, stop)
            self.profiles[slot, :stop] += pattern.sum(0) / self.length
            cells = _max_pool(pattern, self.pool)
            top = -(-start // self.pool)
            self.attention[slot, top : top + cells.shape[0], : cells.shape[1]] = cells

    def _blocks(self, step: int) -> Iterator[tuple[int, int]]:
        """The queries (start, stop) of every block: the first alone, then ``step`` at a time."""
        yield 0, 1
        for start in range(1, self.length, step):
            yield start, min(start + step, self.length)


def _max_pool(pattern: Tensor, pool: int) -> Tensor:
    """(ceil(q / pool), 1 + ceil((k - 1) / pool)): the maximum of every cell, key 0 by itself."""
    if pool == 1:
        return pattern
    first, others = pattern[:, :1], pattern[:, 1:]
    cells = [torch.nn.functional.max_pool2d(first[None], (pool, 1), ceil_mode=True)[0]]
    if others.shape[1]:
        cells.append(torch.nn.functional.max_pool2d(others[None], pool, ceil_mode=True)[0])
    return torch.cat(cells, 1)


def _sample(run: Run, name: str, sample_id: str) -> Sample:
    """The sample's text, from the run's shards or (bundled demo run) the data packages."""
    for part in run.score_parts(name):
        table = pq.read_table(part, columns=["source"], filters=[("id", "=", sample_id)])
        if table.num_rows:
            row = chosen_texts(run, name, [sample_id]).to_pylist()[0]
            source = str(table["source"][0])
            return Sample(sample_id, source, row["prompt"], row["response"], {})
    raise UserError(f"no sample {sample_id!r} in scoring {name!r} of {run.path}")


def _heads(
    known: Sequence[int], chosen: list[Head], layer: int | None, head: int | None
) -> list[Head]:
    """The head that is asked for, else those chosen; ``known``: heads of every layer."""
    if (layer is None) != (head is None):
        raise UserError("give both --layer and --head, or neither")
    if layer is None or head is None:
        return chosen
    if not 0 <= layer < len(known) or not 0 <= head < known[layer]:
        raise UserError(f"the model has no head {layer}.{head}")
    return [(layer, head)]


def _token_texts(tokenizer: Any, text: str, encoded: EncodedText) -> list[tuple[str, int]]:
    """Each token's piece of the text; together they are the text (up to where it was cut).

    Special tokens stand in no text and go by their name. Where several tokens share a character,
    the last of them shows it and the others are empty.
    """
    # Where the last token of a cut text ends is unknown.
    end: int | None = None if encoded.truncated else len(text)
    ends: list[int | None] = []
    for start, special in zip(reversed(encoded.starts), reversed(encoded.special), strict=True):
        ends.append(end)
        end = end if special else start  # a special token behind the text says that it starts at 0
    out = []
    for token, start, special, end in zip(
        encoded.ids, encoded.starts, encoded.special, reversed(ends), strict=True
    ):
        named = special or end is None
        out.append((str(tokenizer.decode([token])) if named else text[start:end], start))
    return out


def _rounded(values: NDArray[np.float32], digits: int) -> list[Any]:
    return list(np.round(values.astype(np.float64), digits).tolist())
