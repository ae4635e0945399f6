"""Prompts made comparable: normalised, and as hashes."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable

import numpy as np

from circuitseer_core.aliases import Hashes


def normalise(text: str) -> str:
    """The text in one case, one Unicode form (NFKC) and single spaces."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def text_hash(text: str) -> int:
    """64-bit hash of the normalised text, never 0; 0 stands for no text."""
    data = normalise(text).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") or 1


def prompt_hashes(prompts: Iterable[object]) -> Hashes:
    """(N,) hashes of normalised prompts; 0 where a prompt is missing or blank."""
    hashes = (text_hash(p) if isinstance(p, str) and p.strip() else 0 for p in prompts)
    return np.fromiter(hashes, dtype=np.uint64)
