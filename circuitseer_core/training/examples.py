"""An arm's rows as training examples, and the steps in which they are seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.prompts import text_hash
from circuitseer_core.data.sample import Reject, Sample
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import hash64
from circuitseer_core.model.encoding import Encoded, encode_for_loss

Step = list[int]
"""The examples of one optimiser step, by number."""


@dataclass(frozen=True, slots=True)
class Examples:
    """An arm's rows that can be trained on, and how many were left out: longer than the longest
    allowed, or without a response that the model's template takes."""

    usable: list[Encoded]
    long: int = 0
    unusable: int = 0

    @property
    def tokens(self) -> int:
        """Of the usable rows."""
        return sum(one.n_tokens for one in self.usable)


def training_examples(tokenizer: Any, path: Path, *, template: str, max_length: int) -> Examples:
    """The rows of an arm, the end-of-text token behind every response; longer ones are left out.

    Raises:
        UserError: the file cannot be read.
    """
    end = tokenizer.eos_token_id
    usable: list[Encoded] = []
    long = unusable = 0
    for entry in Corpus([str(path)]):
        encoded = (
            encode_for_loss(tokenizer, entry, template=template)
            if isinstance(entry, Sample)
            else entry.reason
        )
        if isinstance(encoded, str):
            unusable += 1
            continue
        ids = encoded.ids if end is None else [*encoded.ids, end]
        if len(ids) <= max_length:
            usable.append(replace(encoded, ids=ids))
        else:
            long += 1
    return Examples(usable, long, unusable)


def prompts_of(paths: Iterable[Path]) -> frozenset[int]:
    """Hashes (text_hash) of the prompts in files of chat messages, with and without system text."""
    prompts = set()
    for path in paths:
        for entry in Corpus([str(path)]):
            if not isinstance(entry, Sample):
                continue
            prompts.add(text_hash(entry.prompt))
            turns = entry.original.get("messages")
            asked = [turn for turn in turns if isinstance(turn, dict)] if turns else []
            users = [str(turn.get("content")) for turn in asked if turn.get("role") == "user"]
            if len(users) == 1:
                prompts.add(text_hash(users[0]))
    return frozenset(prompts)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Encoded held-out samples, their texts by id, and how many rows were left out since their
    prompts stand in an arm or in the probe."""

    samples: list[Encoded]
    texts: dict[str, Sample]
    left_out: int = 0


def held_out(
    tokenizer: Any,
    corpus: Iterable[Sample | Reject],
    *,
    template: str,
    max_length: int,
    per_source: int,
    seed: int,
    without: frozenset[int] = frozenset(),
) -> HeldOut:
    """At most ``per_source`` held-out samples of every source, by hash.

    Args:
        without: hashes (text_hash) of prompts that are not held out.

    Raises:
        UserError: none has a response that fits, or all are in what is trained on.
    """
    samples: dict[str, Sample] = {}
    encoded: dict[str, list[Encoded]] = {}
    left_out = 0
    for entry in corpus:
        if not isinstance(entry, Sample):
            continue
        if text_hash(entry.prompt) in without:
            left_out += 1
            continue
        one = encode_for_loss(tokenizer, entry, template=template)
        if isinstance(one, Encoded) and one.n_tokens <= max_length:
            encoded.setdefault(one.source, []).append(one)
            samples[one.id] = entry
    if not encoded:
        beside = f" ({left_out:,} stand in an arm or the probe)" if left_out else ""
        raise UserError(f"no held-out sample has a response within {max_length} tokens{beside}")
    kept = []
    for source in sorted(encoded):
        keys = hash64(seed, "heldout", [one.id for one in encoded[source]])
        order = np.argsort(keys, kind="stable")[:per_source]
        kept += [encoded[source][i] for i in order]
    return HeldOut(kept, samples, left_out)


def content_hash(samples: Sequence[Encoded]) -> str:
    """Hex SHA-256 of samples as they are judged: ids, sources, tokens and where responses begin."""
    digest = hashlib.sha256()
    for one in samples:
        digest.update(json.dumps([one.id, one.source, one.ids, one.loss_from]).encode())
    return digest.hexdigest()


def steps_of(lengths: Sequence[int], tokens_a_step: int, steps: int, seed: int) -> list[Step]:
    """``steps`` optimiser steps of about ``tokens_a_step`` tokens each.

    The examples are shuffled, dealt into steps up to the first that no longer fits (which opens the
    next), and shuffled anew for every further pass. So every arm takes the same number of steps
    over about the same number of tokens, however long its texts are.
    """
    rng = np.random.default_rng(seed)
    dealt: list[Step] = []
    open_step: Step = []
    filled = 0
    while len(dealt) < steps:
        for i in rng.permutation(len(lengths)).tolist():
            if open_step and filled + lengths[i] > tokens_a_step:
                dealt.append(open_step)
                open_step, filled = [], 0
                if len(dealt) == steps:
                    break
            open_step.append(i)
            filled += lengths[i]
    return dealt
