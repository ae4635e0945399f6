"""Hashes that decide who is drawn: pinned, written out from their papers, unrelated."""

from __future__ import annotations

import struct

import numpy as np

from circuitseer_core import hashing


def test_hashes_are_pinned() -> None:
    """These numbers decide who is in a subset: they may never change."""
    assert hashing.hash64(0, "draw", ["a", "b/1"]).tolist() == [
        13868848956989748744,
        11540295798540388757,
    ]
    assert hashing.short_hash("a", "bc") != hashing.short_hash("ab", "c")


def _sip_hash(key: bytes, message: bytes) -> int:
    """SipHash-2-4 as its paper writes it (Aumasson and Bernstein, 2012)."""
    top, k0, k1 = 2**64 - 1, *struct.unpack("<2Q", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D]
    v += [k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def turn(value: int, bits: int) -> int:
        return (value << bits | value >> (64 - bits)) & top

    def rounds(count: int) -> None:
        for _ in range(count):
            for a, b, c, d, one, two in ((0, 1, 2, 3, 13, 16), (2, 1, 0, 3, 17, 21)):
                v[a], v[c] = (v[a] + v[b]) & top, (v[c] + v[d]) & top
                v[b], v[d] = turn(v[b], one) ^ v[a], turn(v[d], two) ^ v[c]
                v[a] = turn(v[a], 32)

    padded = message + bytes(-(len(message) + 1) % 8) + bytes([len(message) % 256])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def test_id_hashes_are_siphash_and_splitmix64() -> None:
    """Written out from their papers: no release of pandas may change who is in a subset."""
    vector = _sip_hash(bytes(range(16)), bytes(range(15)))
    assert vector == 0xA129CA6149BE45E5  # the paper's own test vector

    ids = ["", "a", "b/1", "gsm8k/" + "7" * 40, "schön/π", "\ud800"]
    for name, value in zip(ids, hashing.id_hashes(ids).tolist(), strict=True):
        state = _sip_hash(b"circuitseer/draw", name.encode("utf-8", "surrogatepass"))
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        assert value == state ^ (state >> 31), name
    assert hashing.id_hashes(ids[:3]).tolist() == hashing.id_hashes(ids)[:3].tolist()


def test_draws_of_two_seeds_are_unrelated() -> None:
    hashes = hashing.id_hashes([f"id{i}" for i in range(20_000)])
    one, other, third = (
        hashing.to_gumbels(hashing.reseed(hashes, seed, domain))
        for seed, domain in ((0, "select"), (1, "select"), (0, "pool"))
    )
    for left, right in ((one, other), (one, third), (other, third)):
        assert abs(np.corrcoef(left, right)[0, 1]) < 0.03
    assert len(np.unique(hashing.reseed(hashes, 3, "select"))) == len(hashes)


def test_uniforms_are_uniform_and_gumbels_gumbel() -> None:
    ids = [f"id{i}" for i in range(20_000)]
    u = hashing.uniforms(1, "t", ids)
    assert u.min() > 0 and u.max() < 1
    assert abs(u.mean() - 0.5) < 4 * (1 / 12 / len(u)) ** 0.5
    g = hashing.gumbels(1, "t", ids)
    assert abs(g.mean() - np.euler_gamma) < 4 * np.pi / (6 * len(g)) ** 0.5
    assert abs(np.corrcoef(u, hashing.uniforms(2, "t", ids))[0, 1]) < 0.03
