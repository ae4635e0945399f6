"""The probe: the samples on which every head is ablated.

1. From at most ``probe_pool`` random samples of the user's data that can serve, take clean losses.
2. Keep the ``probe_size`` of highest loss (the paper's criterion), or draw at random, or by source.

Random always means "by a stable hash of (seed, id)": the same data gives the same probe on any
machine, in any row order.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from math import ceil

import numpy as np
import pandas as pd
import torch

from circuitseer_core.aliases import Floats
from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.sample import Reject, Sample
from circuitseer_core.detection.kept_losses import KeptLosses
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import hash64
from circuitseer_core.model.batches import group_by_tokens
from circuitseer_core.model.encoding import Encoded, encode_for_loss
from circuitseer_core.model.losses import losses_of
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.progress import Progress
from circuitseer_core.runs.records import DataRecord, DetectRecord

Entry = Sample | Reject
CRITERIA = ("loss", "random", "stratified")
AS_A_PROBE = {"no response": "--loss-tokens all works without responses"}
AS_THE_PROBE = {"no response": "losses are of responses, as in this run's detection"}
"""What to say of a reason for which no sample can serve: in a detection, and beside one."""


@dataclass(slots=True)
class Candidates:
    """Encoded candidates in hash order, and why others were left out."""

    samples: list[Encoded]
    left_out: dict[str, int] = field(default_factory=dict)
    n_seen: int = 0


def draw_candidates(
    corpus: Iterable[Entry], size: int, seed: int
) -> tuple[list[Sample], int, Counter[str]]:
    """At most ``size`` samples of smallest hash, in hash order; memory stays bounded.

    With them the number of all samples, and of rejects by reason.
    """
    heap: list[tuple[int, str, Sample]] = []
    rejects: Counter[str] = Counter()
    seen = 0
    for chunk in _chunks(corpus, 4096):
        samples = [s for s in chunk if isinstance(s, Sample)]
        rejects.update(entry.reason for entry in chunk if isinstance(entry, Reject))
        seen += len(samples)
        keys = hash64(seed, "pool", [s.id for s in samples])
        for key, sample in zip(keys.tolist(), samples, strict=True):
            entry = (-key, sample.id, sample)
            if len(heap) < size:
                heapq.heappush(heap, entry)
            elif heap and entry > heap[0]:
                heapq.heapreplace(heap, entry)
    return [s for _, _, s in sorted(heap, reverse=True)], seen, rejects


def _chunks(items: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def encode_candidates(
    reference: ReferenceModel,
    corpus: Iterable[Entry],
    *,
    size: int,
    seed: int,
    template: str,
    loss_tokens: str,
    max_length: int,
    or_none: bool = False,
    serves: Callable[[Encoded], str | None] | None = None,
    hints: Mapping[str, str] = AS_A_PROBE,
) -> Candidates:
    """The first ``size`` samples in hash order that can serve, encoded.

    Over-long samples are left out, not truncated, and others take their place: more of the data is
    drawn until ``size`` can serve or there is no more. What was left out on the way is counted.

    Args:
        serves: why a sample that is encoded cannot serve all the same; None where it can.
        hints: what a person can do about a reason, where it is that of most samples.

    Raises:
        UserError: nothing is left, with the most frequent reason (unless ``or_none``).
    """
    candidates = Candidates([])
    reasons: Counter[str] = Counter()
    examined, wanted = 0, size
    while True:
        drawn, candidates.n_seen, rejects = draw_candidates(corpus, wanted, seed)
        for sample in islice(drawn, examined, None):
            if len(candidates.samples) == size:
                break
            examined += 1
            encoded = encode_for_loss(
                reference.tokenizer, sample, template=template, loss_tokens=loss_tokens
            )
            if isinstance(encoded, str):
                reasons[encoded] += 1
            elif encoded.n_tokens > max_length:
                reasons[f"longer than {max_length} tokens"] += 1
            elif serves is not None and (why := serves(encoded)) is not None:
                reasons[why] += 1
            else:
                candidates.samples.append(encoded)
        if len(candidates.samples) == size or len(drawn) < wanted:
            break
        serving = max(len(candidates.samples), 1) / examined
        wanted = max(2 * wanted, ceil(1.1 * size / serving))
    reasons.update(rejects)
    candidates.left_out = dict(reasons.most_common())
    if not candidates.samples and not or_none:
        reason = next(iter(candidates.left_out), "the data is empty")
        hint = f"; {hints[reason]}" if reason in hints else ""
        raise UserError(f"no sample can serve: {reason}{hint}")
    return candidates


def candidate_losses(
    reference: ReferenceModel,
    samples: list[Encoded],
    budget: int,
    progress: Progress,
    kept: KeptLosses,
) -> Floats:
    """Mean clean loss of every sample, (n,) nats; batches that ``kept`` knows are not run.

    A batch that memory does not hold is halved. Raises UserError where it is one sample.
    """
    losses = np.full(len(samples), np.nan)
    with torch.inference_mode():
        for group in group_by_tokens([s.n_tokens for s in samples], budget):
            members = [samples[i] for i in group]
            known = kept.of(members)
            if known is not None:
                losses[group] = known
                progress.skip(len(group))
                continue
            losses[group] = losses_of(reference, members)
            kept.add(members, losses[group].tolist())
            progress.advance(len(group))
    return losses


def choose_probe(samples: list[Encoded], losses: Floats, *, criterion: str, size: int) -> list[int]:
    """Indices of the probe among the candidates (which stand in hash order), in hash order.

    ``loss``: highest clean loss; ``random``: the first by hash; ``stratified``: sources in equal
    shares as far as they reach, each by hash. Samples whose loss is not finite are never chosen.
    """
    if criterion not in CRITERIA:
        raise UserError(f"unknown probe criterion {criterion!r}: choose {', '.join(CRITERIA)}")
    usable = [i for i in range(len(samples)) if np.isfinite(losses[i])]
    if not usable:
        raise UserError("the model's clean loss is not finite on any probe sample")
    if criterion == "loss":
        ordered = sorted(usable, key=lambda i: (-losses[i], samples[i].id))
        return sorted(ordered[:size])
    if criterion == "random":
        return usable[:size]
    queues: dict[str, list[int]] = {}
    for index in usable:
        queues.setdefault(samples[index].source, []).append(index)
    chosen: list[int] = []
    depth = 0
    while len(chosen) < min(size, len(usable)):
        layer = [queue[depth] for _, queue in sorted(queues.items()) if depth < len(queue)]
        chosen.extend(layer[: size - len(chosen)])
        depth += 1
    return sorted(chosen)


_STORED = ["id", "source", "token_ids", "loss_from", "text"]


def probe_table(samples: list[Encoded], losses: Iterable[float], set_name: str) -> pd.DataFrame:
    """probe.parquet rows; ``token_ids`` and ``loss_from`` let a resumed run skip the data."""
    return pd.DataFrame(
        {
            "id": [s.id for s in samples],
            "set": set_name,
            "source": [s.source for s in samples],
            "n_tokens": [s.n_tokens for s in samples],
            "n_loss_tokens": [s.n_loss_tokens for s in samples],
            "base_loss": list(losses),
            "text": [s.text for s in samples],
            "token_ids": [s.ids for s in samples],
            "loss_from": [s.loss_from for s in samples],
        }
    )


def samples_of(rows: pd.DataFrame, reference: ReferenceModel) -> list[Encoded]:
    """The encoded samples back from rows of probe.parquet, in their order.

    Raises UserError where they keep no tokens, or some that the model cannot read.
    """
    if not set(_STORED) <= set(rows):
        raise UserError("probe.parquet keeps no tokens of its samples: detect again in another run")
    samples = []
    for i, source, ids, first, text in rows[_STORED].itertuples(index=False):
        try:
            tokens, loss_from = [int(t) for t in ids], int(first)
            fine = 0 < loss_from < len(tokens) and min(tokens) >= 0
        except (TypeError, ValueError):
            fine = False
        if not fine or max(tokens) >= reference.vocabulary:
            raise UserError(
                f"probe.parquet holds no tokens of sample {str(i)!r} that this model reads: "
                "detect again in another run"
            )
        samples.append(Encoded(str(i), str(source), tokens, loss_from, str(text)))
    return samples


def note_candidates(
    detection: DetectRecord, name: str, corpus: Corpus, candidates: Candidates
) -> None:
    """Which data a set was drawn from, what was left out, how many were seen."""
    data = DataRecord(**corpus.fingerprint())
    if name == "probe":
        detection.probe_data, detection.probe_left_out = data, candidates.left_out
        detection.probe_pool_seen = candidates.n_seen
    else:
        detection.contrast_data, detection.contrast_left_out = data, candidates.left_out
        detection.contrast_pool_seen = candidates.n_seen
