"""An arm's rows as training examples, and the steps in which they are seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.sample import Sample
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import hash64
from circuitseer_core.model.encoding import Encoded, encode_for_loss

Step = list[int]
"""The examples of one optimiser step, by number."""


def training_examples(
    tokenizer: Any, path: Path, *, template: str, max_length: int
) -> list[Encoded]:
    """The rows of an arm, the end-of-text token behind every response; longer ones are left out.

    Raises:
        UserError: nothing in the file can be trained on.
    """
    end = tokenizer.eos_token_id
    examples = []
    for entry in Corpus([str(path)]):
        if not isinstance(entry, Sample):
            continue
        encoded = encode_for_loss(tokenizer, entry, template=template)
        if isinstance(encoded, str):
            continue
        ids = encoded.ids if end is None else [*encoded.ids, end]
        if len(ids) <= max_length:
            examples.append(replace(encoded, ids=ids))
    if not examples:
        raise UserError(f"{path} has no row with a response of at most {max_length} tokens")
    return examples


def held_out(
    tokenizer: Any,
    specs: Sequence[str],
    *,
    template: str,
    max_length: int,
    per_source: int,
    seed: int,
) -> tuple[list[Encoded], dict[str, Sample]]:
    """At most ``per_source`` held-out samples of every source by hash, and their texts by id.

    Raises:
        UserError: none has a response that fits.
    """
    samples: dict[str, Sample] = {}
    encoded: dict[str, list[Encoded]] = {}
    for entry in Corpus(list(specs)):
        if not isinstance(entry, Sample):
            continue
        one = encode_for_loss(tokenizer, entry, template=template)
        if isinstance(one, Encoded) and one.n_tokens <= max_length:
            encoded.setdefault(one.source, []).append(one)
            samples[one.id] = entry
    if not encoded:
        raise UserError(f"no held-out sample has a response within {max_length} tokens")
    kept = []
    for source in sorted(encoded):
        keys = hash64(seed, "heldout", [one.id for one in encoded[source]])
        order = np.argsort(keys, kind="stable")[:per_source]
        kept += [encoded[source][i] for i in order]
    return kept, samples


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
