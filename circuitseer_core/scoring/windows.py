"""A window as tokens: what the model is given, and what is rejected before it gets there.

The corpus as a stream of windows: what one shard of scores is made of.

A window is a run of consecutive rows, closed by a number of rows, of characters to read or of
bytes, whichever comes first. It depends on the data and on these limits alone, so a resumed run, or
another machine, sees the same windows; and as only two are alive at a time, memory does not grow
with the dataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from circuitseer_core.data.sample import Reject, Sample, ScoredPart, scored_text
from circuitseer_core.model.encoding import EncodedText, encode_texts
from circuitseer_core.scoring.scorers import MIN_KEPT

WINDOW_BYTES = 32 * 2**20
"""Text at which a window is closed early, so that very long documents do not pile up."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """Rows of one shard, in data order."""

    index: int
    samples: list[Sample]
    rejects: list[Reject]

    @property
    def size(self) -> int:
        """Rows of the data, usable or not."""
        return len(self.samples) + len(self.rejects)


CHARS_A_TOKEN = 4
"""Of English, about: how much of a text can count where it will be cut at a number of tokens."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where windows end, whatever comes first.

    Attributes:
        rows: of a window.
        chars: that the model reads of it; None for no such limit.
        text_chars: most that count of one sample, whose text will be cut; None for all.
        text: which part of a sample is scored.
        both: whether further passes read prompt and response too.
        ends: rows of the data after which a window ends in any case.
    """

    rows: int
    chars: int | None = None
    text_chars: int | None = None
    text: ScoredPart = "prompt"
    both: bool = False
    ends: tuple[int, ...] = ()

    def chars_of(self, sample: Sample) -> int:
        """Characters of a sample that the model reads."""
        chars = len(scored_text(self.text, sample.prompt, sample.response) or "")
        if self.both:
            chars += len(sample.prompt) + len(sample.response or "")
        return chars if self.text_chars is None else min(chars, self.text_chars)


def windows(
    entries: Iterable[Sample | Reject], cut: Cut, max_bytes: int = WINDOW_BYTES
) -> Iterator[Window]:
    """Cut a stream into windows; also at about ``max_bytes`` of text, for memory's sake."""
    index = 0
    window = Window(index, [], [])
    text_bytes = chars = 0
    for number, entry in enumerate(entries, start=1):
        if isinstance(entry, Reject):
            window.rejects.append(entry)
        else:
            window.samples.append(entry)
            text_bytes += len(entry.prompt) + len(entry.response or "")
            chars += cut.chars_of(entry) if cut.chars is not None else 0
        full = number in cut.ends or (cut.chars is not None and chars >= cut.chars)
        if full or window.size >= cut.rows or text_bytes >= max_bytes:
            yield window
            index += 1
            window, text_bytes, chars = Window(index, [], []), 0, 0
    if window.size:
        yield window


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each made in a thread while the one before it is in use.

    Whatever ``items`` raises is raised here in its turn.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="circuitseer-ahead") as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]


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
