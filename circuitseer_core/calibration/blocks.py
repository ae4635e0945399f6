"""Blocks of columns that a target may be fitted to: head readings, words, looks, other scores.

A block has one or more variants (families of readings, single words or pairs of words). Which one
is used is chosen within the training rows (nested.py), so that no block is helped or hurt by a
choice that somebody made on the whole data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from circuitseer_core.aliases import Floats, Head, Index
from circuitseer_core.calibration.linear import RidgeFit, Training, fit_ridge
from circuitseer_core.calibration.names import SOURCE, SURFACE, WORDS
from circuitseer_core.calibration.rows import Rows
from circuitseer_core.calibration.sparse import fit_sparse
from circuitseer_core.runs.columns import HEAD_FAMILIES

EVERY = "all"
"""The variant that has every family of readings side by side in one fit."""
BLEND = "blend"
"""The mean of the fits to the single families."""


class Variant(Protocol):
    """One way to read a block."""

    @property
    def name(self) -> str:
        """What the choice is called."""
        ...

    def fit(self, train: Index, held_out: Index, training: Training) -> RidgeFit:
        """Fit on some rows, predict others."""
        ...


@dataclass(frozen=True)
class Block:
    """``name``: as the comparison has it; ``variants``: of which one is chosen; ``blended``: the
    mean of the variants' fits (all but EVERY) is one more to choose."""

    name: str
    variants: tuple[Variant, ...]
    blended: bool = False


@dataclass(frozen=True)
class Columns:
    """Numbers, (N, p). ``at_most``: the most columns that get a weight."""

    name: str
    values: Floats
    at_most: int | None = None

    def fit(self, train: Index, held_out: Index, training: Training) -> RidgeFit:
        """Fit on some rows, predict others."""
        fit = fit_ridge if self.at_most is None else partial(fit_sparse, at_most=self.at_most)
        return fit(self.values[train], self.values[held_out], training)


@dataclass(frozen=True)
class Words:
    """Bag of words: tf-idf of words, LaTeX commands and signs, alone or in pairs as well."""

    name: str
    texts: Sequence[str]
    longest: int

    def fit(self, train: Index, held_out: Index, training: Training) -> RidgeFit:
        """Learn words and weights on some rows, predict others."""
        vectorizer = TfidfVectorizer(
            token_pattern=_TOKEN,
            ngram_range=(1, self.longest),
            min_df=2,
            max_features=_MOST_WORDS,
            sublinear_tf=True,
        )
        try:
            known = vectorizer.fit_transform([self.texts[i] for i in train]).toarray()
        except ValueError:  # no word stands in two texts
            return fit_ridge(np.zeros((len(train), 1)), np.zeros((len(held_out), 1)), training)
        seen = vectorizer.transform([self.texts[i] for i in held_out]).toarray()
        return fit_ridge(known, seen, training, scaled=False)


_TOKEN = r"(?u)\\[a-z]+|\w+|[^\w\s]"
_MOST_WORDS = 3_000


def head_block(
    rows: Rows,
    name: str,
    heads: Sequence[Head],
    families: Sequence[str],
    at_most: int | None = None,
) -> Block:
    """Readings of some heads: one variant a family, all families in one fit, and their blend.

    With ``at_most`` heads, one family is used, so that a head is one column.
    """
    at = [rows.heads.index(head) for head in heads]
    wanted = families or HEAD_FAMILIES
    readings = {f: rows.readings[:, HEAD_FAMILIES.index(f)][:, at] for f in wanted}
    variants = [Columns(f, v.astype(np.float64), at_most) for f, v in readings.items()]
    if at_most is None and len(readings) > 1:
        every = np.concatenate(list(readings.values()), axis=1)
        variants.append(Columns(EVERY, every.astype(np.float64)))
    return Block(name, tuple(variants), blended=at_most is None and len(readings) > 1)


def columns_of(
    variant: str, heads: Sequence[Head], families: Sequence[str]
) -> list[tuple[str, Head]]:
    """(family, head) of every column of a head block's variant."""
    wanted = (families or HEAD_FAMILIES) if variant in (EVERY, BLEND) else (variant,)
    return [(family, head) for family in wanted for head in heads]


def word_block(rows: Rows) -> Block:
    """Words of the scored text."""
    return Block(WORDS, (Words("words", rows.texts, 1), Words("pairs", rows.texts, 2)))


def surface_block(rows: Rows) -> Block:
    """What a text looks like, without its words: logarithms of counts."""
    return Block(SURFACE, (Columns("counts", surface(rows.texts)),))


def score_block(rows: Rows, name: str, columns: Sequence[str]) -> Block:
    """Other scores, as logarithms where they are positive; unknown ones are taken as the mean."""
    logs = np.column_stack([_log(rows.numbers[column]) for column in columns])
    return Block(name, (Columns("scores", logs),))


def source_block(rows: Rows) -> Block:
    """Which source a sample is from."""
    names = np.unique(rows.source.astype(str))
    own = (rows.source.astype(str)[:, None] == names[None]).astype(np.float64)
    return Block(SOURCE, (Columns("source", own),))


_SURFACE = [
    re.compile(pattern)
    for pattern in (
        r"\d",
        r"\d+(?:[.,]\d+)*",
        r"\\[A-Za-z]+|\$",
        r"[-+*/=<>^_×÷≤≥±√|%]",
        r"\n",
        r"[^\W\d_]+",
        r"[(){}\[\]]",
        r"[.!?](?:\s|$)",
        r"[A-Z]",
    )
]
"""Digits, numbers, LaTeX, operators, newlines, words, brackets, sentences, capitals."""


def surface(texts: Sequence[str]) -> Floats:
    """(N, 10) ln(1 + count) of the patterns above, and the logarithm of the mean word length."""
    counts = np.array([[len(p.findall(text)) for p in _SURFACE] for text in texts], dtype=float)
    letters = np.array([sum(ch.isalpha() for ch in text) for text in texts], dtype=float)
    words = np.maximum(counts[:, 5], 1)
    return np.column_stack([np.log1p(counts), np.log1p(letters / words)])


def _log(values: Floats) -> Floats:
    known = np.isfinite(values)
    logs = np.log(np.maximum(values, 1e-12)) if (values[known] >= 0).all() else values
    return np.where(known, logs, logs[known].mean() if known.any() else 0.0)
