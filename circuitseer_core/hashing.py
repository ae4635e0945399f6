"""Random numbers that belong to an id rather than to a row.

Selections, control subsamples and the ``random`` baseline must not depend on row order, on how a
dataset was sharded, or on the machine. So every such number is a pure function of
(domain, seed, id): BLAKE2b, which is specified to the bit, unlike library-private string hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_SPAN = 2.0**53


def hash64(seed: int, domain: str, ids: Iterable[str]) -> NDArray[np.uint64]:
    """Hash every id to 64 bits, keyed by ``domain`` and ``seed``.

    Args:
        seed: any integer; part of the key.
        domain: what the numbers are for, so that two uses of one seed stay independent.
        ids: n ids.

    Returns:
        (n,) uint64.
    """
    keyed = hashlib.blake2b(f"{domain}\x1f{seed}\x1f".encode(), digest_size=8)

    def digests() -> Iterable[bytes]:
        for sample_id in ids:
            state = keyed.copy()
            state.update(sample_id.encode("utf-8", "surrogatepass"))
            yield state.digest()

    return np.frombuffer(b"".join(digests()), dtype="<u8").astype(np.uint64, copy=False)


def uniforms(seed: int, domain: str, ids: Iterable[str]) -> NDArray[np.float64]:
    """(n,) float64 strictly inside (0, 1): the top 53 bits of :func:`hash64`, centred."""
    return ((hash64(seed, domain, ids) >> np.uint64(11)).astype(np.float64) + 0.5) / _SPAN


def gumbels(seed: int, domain: str, ids: Iterable[str]) -> NDArray[np.float64]:
    """(n,) standard Gumbel noise, ``-log(-log(u))`` of :func:`uniforms`."""
    noise: NDArray[np.float64] = -np.log(-np.log(uniforms(seed, domain, ids)))
    return noise


def short_hash(*parts: str) -> str:
    """16 hex digits of the parts, in order; parts cannot run into each other."""
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()
