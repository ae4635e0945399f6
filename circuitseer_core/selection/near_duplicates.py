"""Prompts that are nearly the same: MinHash finds candidates, the exact Jaccard index decides.

A prompt is the set of its runs of five words (signs of arithmetic are words; a shorter prompt is
one run). Two prompts are near-duplicates where the Jaccard index of their sets is at least the
threshold. Candidates share a band of MinHash values (Broder 1997; Indyk and Motwani 1998), by
datasketch; bands are as long as still find 99 % of the pairs that lie at the threshold itself.
Every candidate is then compared exactly, so that no pair below the threshold is ever taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from circuitseer_core.aliases import Floats, Hashes, Ints
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import remix
from circuitseer_core.installation import require_extra
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.texts import scored_texts
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.words import run_hashes, words_of

SHINGLE = 5
"""Words of a run."""
PERMUTATIONS = 256
RECALL = 0.99
"""Share of the pairs at the threshold that the bands are to find."""
MOST_CANDIDATES = 20_000_000
_BATCH = 2048


@dataclass(frozen=True, slots=True, eq=False)
class NearDuplicates:
    """The near-duplicates of a pool of N rows.

    ``node`` (N,): prompts with the same set of runs share a node; -1 without a prompt. ``left``,
    ``right``, ``similarity`` (m,): pairs of different nodes whose Jaccard index is at least
    ``threshold``. ``candidates``: pairs that were compared.
    """

    threshold: float
    node: Ints
    left: Ints
    right: Ints
    similarity: Floats
    candidates: int

    def neighbours(self) -> dict[int, list[tuple[int, float]]]:
        """node → (other node, Jaccard index) of all its pairs."""
        neighbours: dict[int, list[tuple[int, float]]] = {}
        pairs = zip(self.left.tolist(), self.right.tolist(), self.similarity.tolist(), strict=True)
        for one, other, value in pairs:
            neighbours.setdefault(one, []).append((other, value))
            neighbours.setdefault(other, []).append((one, value))
        return neighbours


def shingles(text: str) -> Hashes:
    """(s,) the sorted hashes of a prompt's runs of five words, each once; of fewer words one."""
    words = words_of(text, signs=True)
    return np.unique(run_hashes(words, min(SHINGLE, len(words))))


def jaccard(one: Hashes, other: Hashes) -> float:
    """The Jaccard index of two sorted sets."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def band_rows(threshold: float) -> int:
    """The length of a band: the longest that finds ``RECALL`` of the pairs at the threshold."""
    for rows in range(PERMUTATIONS, 1, -1):
        recall = 1 - (1 - threshold**rows) ** (PERMUTATIONS // rows)
        if recall >= RECALL:
            return rows
    return 1


def near_duplicates_in(run: Run, settings: SelectionSettings) -> NearDuplicates | None:
    """The near-duplicates of a scoring's prompts, where the settings ask for them."""
    if settings.near_duplicates is None:
        return None
    prompts = (prompt for _, prompt, _ in scored_texts(run, settings.scores))
    return find_near_duplicates(prompts, settings.near_duplicates)


def find_near_duplicates(prompts: Iterable[str | None], threshold: float) -> NearDuplicates:
    """All near-duplicates among prompts; holds 8 bytes a word in memory.

    Raises:
        UserError: datasketch is not installed, or so many prompts share text that comparing all
            would not end.
    """
    require_extra("dedup", "--near-duplicates", "datasketch")
    sets: list[Hashes] = []
    known: dict[bytes, int] = {}
    nodes: list[int] = []
    for prompt in prompts:
        own = shingles(prompt) if prompt else np.empty(0, np.uint64)
        if not len(own):
            nodes.append(-1)
            continue
        key = hashlib.blake2b(own.tobytes(), digest_size=16).digest()
        if key not in known:
            known[key] = len(sets)
            sets.append(own)
        nodes.append(known[key])
    pairs = _candidates(_bands(sets, band_rows(threshold)), len(sets))
    left, right = pairs // max(1, len(sets)), pairs % max(1, len(sets))
    similarity = np.array(
        [jaccard(sets[i], sets[j]) for i, j in zip(left.tolist(), right.tolist(), strict=True)],
        dtype=np.float64,
    )
    near = similarity >= threshold
    return NearDuplicates(
        threshold, np.array(nodes, np.int64), left[near], right[near], similarity[near], len(pairs)
    )


def _bands(sets: list[Hashes], rows: int) -> Hashes:
    """(bands, sets) one hash a band of every set's MinHash values."""
    from datasketch import MinHash

    bands = PERMUTATIONS // rows
    keys = np.empty((bands, len(sets)), np.uint64)
    high = ((own >> np.uint64(32)).tolist() for own in sets)
    sketches = MinHash.generator(high, num_perm=PERMUTATIONS, hashfunc=int)
    start = 0
    while batch := [sketch.hashvalues for sketch in islice(sketches, _BATCH)]:
        values = np.stack(batch)[:, : bands * rows].astype(np.uint64).reshape(-1, bands, rows)
        folded = np.zeros(values.shape[:2], np.uint64)
        for row in range(rows):
            folded = remix(folded ^ values[:, :, row], row)
        keys[:, start : start + len(batch)] = folded.T
        start += len(batch)
    return keys


def _candidates(keys: Hashes, n: int) -> Ints:
    """(c,) pairs of columns that share a key in some row, each once, as smaller · n + larger."""
    candidates = np.empty(0, np.int64)
    for band in keys:
        new = [np.unique(pairs) for pairs in _pairs_in(band, n)]
        if new:
            candidates = np.unique(np.concatenate([candidates, *new]))
        if len(candidates) > MOST_CANDIDATES:
            raise UserError(
                "--near-duplicates: too many prompts share most of their text to compare them all "
                f"(over {MOST_CANDIDATES:,} pairs): raise the threshold"
            )
    return candidates


def _pairs_in(band: Hashes, n: int) -> Iterator[Ints]:
    """The pairs within one band: of every run of equal keys neighbours, then next ones, and so on.

    Stops where they alone exceed what is compared.
    """
    order = np.argsort(band, kind="stable")
    ordered = band[order]
    total = 0
    here = np.arange(len(order))
    for distance in range(1, len(order)):
        here = here[: np.searchsorted(here, len(order) - distance)]
        here = here[ordered[here] == ordered[here + distance]]
        total += len(here)
        if not len(here):
            return
        one, other = order[here], order[here + distance]
        yield np.minimum(one, other) * n + np.maximum(one, other)
        if total > MOST_CANDIDATES:
            return
