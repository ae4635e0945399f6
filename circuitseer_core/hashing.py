"""Random numbers that belong to an id rather than to a row.

Selections, control subsamples and the ``random`` baseline must not depend on row order, on how a
dataset was sharded, or on the machine. So every such number is a pure function of
(domain, seed, id), by hashes that are specified to the bit: BLAKE2b, and for whole pools
SipHash-2-4 followed by splitmix64, which takes a million ids and another seed in milliseconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Floats, Hashes

_SIP_KEY = "circuitseer/draw"
_SPAN = 2.0**52


def hash64(seed: int, domain: str, ids: Iterable[str]) -> Hashes:
    """Hash every id to 64 bits, keyed by ``domain`` and ``seed``.

    Args:
        seed: any integer; part of the key.
        domain: what the numbers are for, so that two uses of one seed stay independent.
        ids: n ids.

    Returns:
        (n,) uint64.
    """
    keyed = hashlib.blake2b(f"{domain}\x1f{seed}\x1f".encode(), digest_size=8)

    digests: list[bytes] = []
    copy, keep = keyed.copy, digests.append  # looked up once: this loop runs once a sample
    for sample_id in ids:
        state = copy()
        state.update(sample_id.encode("utf-8", "surrogatepass"))
        keep(state.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64, copy=False)


def id_hashes(ids: Sequence[str]) -> Hashes:
    """(n,) uint64, one per id: SipHash-2-4 of its UTF-8, then splitmix64's finish (as pandas does).

    The part of a pool's noise that costs time; ``reseed`` makes it that of a seed.
    """
    values = np.empty(len(ids), dtype=object)
    values[:] = ids
    try:
        return pd.util.hash_array(values, hash_key=_SIP_KEY, categorize=False)
    except UnicodeEncodeError:  # a lone surrogate: UTF-8 by the rule of hash64
        values[:] = [sample_id.encode("utf-8", "surrogatepass") for sample_id in ids]
        return pd.util.hash_array(values, hash_key=_SIP_KEY, categorize=False)


def reseed(hashes: Hashes, seed: int, domain: str) -> Hashes:
    """(n,) what ``id_hashes`` become under a seed, in a domain: a bijection, so none collide."""
    return remix(hashes ^ hash64(seed, domain, [""])[0], 0)


def remix(hashes: Hashes, number: int) -> Hashes:
    """(n,) fresh hashes out of stored ones: splitmix64 (Steele et al., OOPSLA 2014), number ≥ 0."""
    with np.errstate(over="ignore"):
        state = hashes + np.uint64((number + 1) * 0x9E3779B97F4A7C15 % 2**64)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def to_uniforms(hashes: Hashes) -> Floats:
    """(n,) float64 strictly inside (0, 1): the top 52 bits of each hash, centred in their cell.

    52 bits and not 53: the half added for the centre must be representable too, else the largest
    value rounds up to 1.
    """
    return ((hashes >> np.uint64(12)).astype(np.float64) + 0.5) / _SPAN


def to_gumbels(hashes: Hashes) -> Floats:
    """(n,) standard Gumbel noise, ``-log(-log(u))`` of :func:`to_uniforms`."""
    noise: Floats = -np.log(-np.log(to_uniforms(hashes)))
    return noise


def uniforms(seed: int, domain: str, ids: Iterable[str]) -> Floats:
    """(n,) float64 strictly inside (0, 1), one per id: :func:`to_uniforms` of :func:`hash64`."""
    return to_uniforms(hash64(seed, domain, ids))


def gumbels(seed: int, domain: str, ids: Iterable[str]) -> Floats:
    """(n,) standard Gumbel noise, one per id: :func:`to_gumbels` of :func:`hash64`."""
    return to_gumbels(hash64(seed, domain, ids))


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_hash(*parts: str) -> str:
    """16 hex digits of the parts, in order; parts cannot run into each other."""
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()
