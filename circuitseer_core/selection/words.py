"""Texts as words and as hashes of runs of words: what near-duplicates and benchmarks are found by.

A word is a run of letters and digits after ``normalise``; every Chinese or Japanese character is a
word of its own, since such texts have no spaces. Where ``signs`` are asked for, signs of arithmetic
are words too: "3 + 4" and "3 - 4" are different questions.

A run's hash is a polynomial in the hashes (BLAKE2b) of its words, mixed: 64 bits, so that between
a hundred million runs and another million 5e-6 accidental matches are expected.
"""

from __future__ import annotations

import hashlib
import re

import numpy as np

from circuitseer_core.aliases import Hashes
from circuitseer_core.data.prompts import normalise
from circuitseer_core.hashing import remix

_ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")
_WORD_OR_SIGN = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+|[-+*/=<>^%×÷·−√]")
_BASE = np.uint64(0x9E3779B97F4A7C15)
_KEPT_WORDS = 1 << 20
_hashes: dict[str, int] = {}


def words_of(text: str, *, signs: bool = False) -> list[str]:
    """The words of a text, in order."""
    return (_WORD_OR_SIGN if signs else _WORD).findall(normalise(text))


def run_hashes(words: list[str], n: int) -> Hashes:
    """(len(words) - n + 1,) the hash of every run of n words, in order; empty for fewer words."""
    count = len(words) - n + 1
    if count < 1 or n < 1:
        return np.empty(0, np.uint64)
    single = np.fromiter(map(_hash, words), np.uint64, len(words))
    total = np.zeros(count, np.uint64)
    with np.errstate(over="ignore"):
        for offset in range(n):
            total = total * _BASE + single[offset : offset + count]
    return remix(total, n)


def text_run_hash(words: list[str]) -> int:
    """The hash of a whole text as one run of words; 0 for none."""
    return int(run_hashes(words, len(words))[0]) if words else 0


def _hash(word: str) -> int:
    known = _hashes.get(word)
    if known is None:
        if len(_hashes) >= _KEPT_WORDS:
            _hashes.clear()
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        known = _hashes[word] = int.from_bytes(digest, "little")
    return known
