"""A window as tokens: what the model is given, and what is rejected before it gets there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from circuitseer_core.data.sample import Reject, Sample, ScoredPart, scored_text
from circuitseer_core.model.encoding import EncodedText, encode_texts
from circuitseer_core.scoring.scorers import MIN_KEPT
from circuitseer_core.scoring.windows import Window

_ENCODING_FAILURES = (TypeError, ValueError, UnicodeError, OverflowError)


@dataclass(frozen=True, slots=True)
class EncodedWindow:
    """A window's usable samples, each with its tokens.

    ``responses``: tokens of each sample's response, without special tokens; -1 for no response.
    ``size``: rows of data that the window stands for, rejects included.
    """

    index: int
    size: int
    samples: list[Sample]
    texts: list[EncodedText]
    responses: list[int]
    rejects: list[Reject]


def encode_window(
    tokenizer: Any, window: Window, text: ScoredPart, max_length: int
) -> EncodedWindow:
    """Tokenise the scored texts; samples without one, or with too few tokens, become rejects."""
    rejects = list(window.rejects)
    present: list[Sample] = []
    for sample in window.samples:
        if scored_text(text, sample.prompt, sample.response) is None:
            rejects.append(Reject(sample.id, sample.source, "no response"))
        else:
            present.append(sample)
    encoded = _encode(
        tokenizer, [scored_text(text, s.prompt, s.response) or "" for s in present], max_length
    )
    samples: list[Sample] = []
    texts: list[EncodedText] = []
    for sample, tokens in zip(present, encoded, strict=True):
        reason = tokens if isinstance(tokens, str) else _too_short(tokens)
        if reason is not None:
            rejects.append(Reject(sample.id, sample.source, reason))
        elif not isinstance(tokens, str):
            samples.append(sample)
            texts.append(tokens)
    responses = _response_tokens(tokenizer, samples)
    return EncodedWindow(window.index, window.size, samples, texts, responses, rejects)


def _encode(tokenizer: Any, texts: list[str], max_length: int) -> Sequence[EncodedText | str]:
    """Tokens of each text, or why it cannot be tokenised."""
    if not texts:
        return []
    try:
        return encode_texts(tokenizer, texts, max_length)
    except _ENCODING_FAILURES as error:
        if len(texts) == 1:
            return [f"cannot be tokenised: {str(error)[:200]}"]
        return [_encode(tokenizer, [text], max_length)[0] for text in texts]


def _too_short(tokens: EncodedText) -> str | None:
    kept = sum(not special for special in tokens.special[1:])
    if kept >= MIN_KEPT:
        return None
    return f"fewer than {MIN_KEPT} tokens besides the first and special ones"


def _response_tokens(tokenizer: Any, samples: Sequence[Sample]) -> list[int]:
    counts = [-1] * len(samples)
    having = [i for i, sample in enumerate(samples) if sample.response is not None]
    if having:
        encoded = tokenizer(
            [samples[i].response for i in having],
            add_special_tokens=False,
            return_attention_mask=False,
            verbose=False,
        )
        for i, ids in zip(having, encoded["input_ids"], strict=True):
            counts[i] = len(ids)
    return counts
