"""What each head attends to, in a few numbers, on a few of the scored texts.

1. Take a small, hash-chosen set of the scored samples, each cut at ``MAX_TOKENS``.
2. Run the model's body once a text; compute every head's attention, a block of queries at a time.
3. Keep sums over queries of four shares and of the distance, and each head's profile of each text.

For query i (0-based, from 1 on: the first sees only itself), with A its attention:

    first      A[i, 0]
    sink       A on the first and on special tokens, and what a learned sink takes
    previous   A[i, i-1]
    same       Σ_j A[i, j] over j < i with the same token, over queries that have such a j
    distance   Σ_j A[i, j]·(i - j), in tokens

and their means over queries. Beside them stand those of undifferentiated attention on the same
texts, without which no share says anything: in a text of 20 tokens even uniform attention puts 18 %
on the first token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.data.sample import scored_text
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import hash64
from circuitseer_core.model.attention import AttentionCall, Intervention, intervening
from circuitseer_core.model.encoding import EncodedText, encode_texts
from circuitseer_core.model.pieces import token_pieces
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.texts import chosen_texts

SAMPLES = 24
MAX_TOKENS = 256
_QUERIES = 128
_SHARES = ("first", "sink", "previous", "same", "distance")


@dataclass(frozen=True)
class RoleText:
    """One text of T tokens: what each adds to it, and which are special or the first."""

    id: str
    pieces: list[str]
    set_aside: NDArray[np.bool_]


@dataclass(frozen=True)
class HeadRoles:
    """Every head on the same few texts.

    Attributes:
        table: layer, head, first, sink, previous, same, distance, and ``uniform_*`` of each.
        texts: what they were measured on.
        profiles: (heads, T) a text, float16: mean attention that each token receives.
        heads: the heads in the profiles' order.
        queries: over how many queries the shares are means.
    """

    table: pd.DataFrame
    texts: list[RoleText]
    profiles: list[NDArray[np.float16]]
    heads: list[Head]
    queries: int

    def received(self, head: Head) -> list[Floats]:
        """(T,) attention received ÷ mean (a_j = T·m_j) of each text, for one head."""
        at = self.heads.index(head)
        return [p[at].astype(np.float64) * p.shape[1] for p in self.profiles]

    def top_tokens(self, head: Head, count: int) -> list[tuple[int, int, float]]:
        """(text, token, attention received ÷ mean) of the ``count`` highest, one a text.

        The first token and special ones are set aside: they are sinks in most heads.
        """
        best: list[tuple[int, int, float]] = []
        for number, (text, values) in enumerate(zip(self.texts, self.received(head), strict=True)):
            left = np.where(text.set_aside, -np.inf, values)
            if np.isfinite(left).any():
                token = int(left.argmax())
                best.append((number, token, float(values[token])))
        return sorted(best, key=lambda item: -item[2])[:count]


def head_roles(
    run: Run, reference: ReferenceModel, name: str = "default", samples: int = SAMPLES
) -> HeadRoles:
    """Measure every head on ``samples`` hash-chosen samples of a scoring.

    Raises:
        UserError: no text of the chosen samples is at hand.
    """
    scoring = run.scoring(name)
    ids = run.scores(name, ["id"])["id"].astype(str).to_numpy()
    order = np.argsort(hash64(0, "head-roles", list(ids)), kind="stable")
    rows = chosen_texts(run, name, [str(i) for i in ids[order[:samples]]]).to_pylist()
    texts = {
        str(row["id"]): text
        for row in rows
        if (text := scored_text(scoring.text, row["prompt"], row["response"]))
    }
    most = min(MAX_TOKENS, reference.max_positions)
    encoded = encode_texts(reference.tokenizer, list(texts.values()), most)
    kept = [(i, e) for i, e in zip(texts, encoded, strict=True) if len(e.ids) > 1]
    if not kept:
        raise UserError("none of the chosen samples has a text of two tokens or more")
    return roles_of_texts(reference, kept)


def roles_of_texts(
    reference: ReferenceModel, texts: Sequence[tuple[str, EncodedText]]
) -> HeadRoles:
    """Measure every head on these texts, given as (id, tokens)."""
    totals = _Totals.zeros(len(reference.heads))
    records, profiles = [], []
    for sample_id, encoded in texts:
        aside = np.array(encoded.special, dtype=bool)
        aside[0] = True
        observer = _Observer(encoded.ids, torch.tensor(aside), reference.heads)
        ids = torch.tensor([encoded.ids], device=reference.device)
        with torch.inference_mode(), intervening(observer):
            reference.hidden(ids)
        totals.add(observer.totals)
        pieces = token_pieces(reference.tokenizer, encoded.ids)
        records.append(RoleText(sample_id, pieces, aside))
        profiles.append(observer.profiles.numpy().astype(np.float16))
    return HeadRoles(
        totals.table(reference.heads), records, profiles, list(reference.heads), totals.queries
    )


@dataclass(slots=True)
class _Totals:
    """Sums over queries, (heads, 5) in the order of ``_SHARES``: of the model's and of uniform
    attention. ``queries`` and ``repeats`` count those of all and those with an earlier same token.
    """

    own: Floats
    uniform: Floats
    queries: int = 0
    repeats: int = 0

    @classmethod
    def zeros(cls, heads: int) -> _Totals:
        return cls(np.zeros((heads, len(_SHARES))), np.zeros((heads, len(_SHARES))))

    def add(self, other: _Totals) -> None:
        self.own += other.own
        self.uniform += other.uniform
        self.queries += other.queries
        self.repeats += other.repeats

    def table(self, heads: Sequence[Head]) -> pd.DataFrame:
        frame = pd.DataFrame(heads, columns=["layer", "head"])
        for column, name in enumerate(_SHARES):
            count = self.repeats if name == "same" else self.queries
            frame[name] = self.own[:, column] / max(count, 1)
            frame[f"uniform_{name}"] = self.uniform[:, column] / max(count, 1)
            if not count:
                frame[[name, f"uniform_{name}"]] = np.nan
        return frame


@dataclass(slots=True)
class _Observer(Intervention):
    """Adds one text up, layer by layer. ``aside``: (T,) the first and special tokens."""

    ids: Sequence[int]
    aside: Tensor
    heads: Sequence[Head]
    totals: _Totals = field(init=False)
    profiles: Tensor = field(init=False)

    def __post_init__(self) -> None:
        length = len(self.ids)
        self.totals = _Totals.zeros(len(self.heads))
        self.profiles = torch.zeros(len(self.heads), length)
        self.totals.queries = length - 1
        self.totals.repeats = sum(self.ids[i] in self.ids[:i] for i in range(1, length))

    def before(self, call: AttentionCall) -> None:
        """Compute one layer's attention and add it up."""
        first = self.heads.index((call.layer, 0))
        device = call.query.device
        heads = torch.arange(call.n_heads, device=device)
        rows = torch.zeros_like(heads)
        at = slice(first, first + call.n_heads)
        for start in range(0, len(self.ids), _QUERIES):
            stop = min(start + _QUERIES, len(self.ids))
            pattern = call.pattern(rows, heads, start, stop).cpu()  # (H, q, stop)
            visible = call.visible(rows[:1], heads[:1], start, stop).cpu().float()
            uniform = visible / visible.sum(-1, keepdim=True).clamp_min(1.0)
            self.profiles[at, :stop] += pattern.sum(1) / len(self.ids)
            self.totals.own[at] += self._sums(pattern, start, learned_sink=True)
            self.totals.uniform[at] += self._sums(uniform, start, learned_sink=False)

    def _sums(self, pattern: Tensor, start: int, *, learned_sink: bool) -> Floats:
        """(H, 5) sums over the block's queries, without that of the text's first token."""
        if start == 0:
            pattern = pattern[:, 1:]
            start = 1
        n_queries, n_keys = pattern.shape[1:]
        queries = torch.arange(start, start + n_queries)
        keys = torch.arange(n_keys)
        ids = torch.tensor(self.ids)
        earlier = keys[None, :] < queries[:, None]
        same = (ids[queries][:, None] == ids[:n_keys][None, :]) & earlier
        distance = (queries[:, None] - keys[None, :]).clamp_min(0).float()
        sink = pattern[..., self.aside[:n_keys]].sum((1, 2))
        if learned_sink:
            sink = sink + (1.0 - pattern.sum(-1)).clamp_min(0.0).sum(1)
        parts = [
            pattern[:, :, 0].sum(1),
            sink,
            pattern[:, torch.arange(n_queries), queries - 1].sum(1),
            (pattern * same).sum((1, 2)),
            (pattern * distance).sum((1, 2)),
        ]
        return torch.stack(parts, 1).double().numpy()
