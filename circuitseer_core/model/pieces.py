"""Token ids as pieces of text: what each token adds to what stands before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_BROKEN = "\ufffd"
"""What a decoder writes for bytes that are no whole character yet."""


def token_pieces(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """(T,) the text that each token adds; together they are the decoded text.

    A byte-level tokenizer may spread one character over several tokens: the last of them has the
    character, the others are empty. A token is decoded after the one before it, as tokenizers may
    drop a space at the start of a text.
    """
    pieces: list[str] = []
    begin = done = 0  # tokens begin:done are context whose text has been given out
    for end in range(1, len(ids) + 1):
        before = _decode(tokenizer, ids[begin:done])
        text = _decode(tokenizer, ids[begin:end])
        if text.endswith(_BROKEN) and end < len(ids):
            pieces.append("")
            continue
        pieces.append(text[len(before) :])
        begin, done = done, end
    return pieces


def text_so_far(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of tokens that others will follow, without a last character in the making."""
    return _decode(tokenizer, ids).rstrip(_BROKEN)


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))
