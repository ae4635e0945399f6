"""Hashes, files, runs, stages, batches, encoding and the probe: what everything stands on."""

from __future__ import annotations

import os
import signal
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuitseer_core import hashing
from circuitseer_core.data.sample import Sample
from circuitseer_core.detection.probe import choose_probe
from circuitseer_core.errors import Cancelled, UserError
from circuitseer_core.files import atomic_path, write_json
from circuitseer_core.model.batches import group_by_tokens, loss_batch
from circuitseer_core.model.encoding import Encoded, encode_for_loss, encode_texts, resolve_template
from circuitseer_core.runs.folder import Run, list_runs
from circuitseer_core.runs.stage import working
from tests.support.records import edit_run
from tests.support.tiny_models import tiny_model, tiny_tokenizer


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
    for name, found in zip(ids, hashing.id_hashes(ids).tolist(), strict=True):
        state = _sip_hash(b"circuitseer/draw", name.encode("utf-8", "surrogatepass"))
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        assert found == state ^ (state >> 31), name
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


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    write_json(target, {"a": 1})
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == '{\n  "a": 1\n}\n' and len(list(tmp_path.iterdir())) == 1


def test_runs(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r")
    edit_run(run, model={"id": "m"})
    assert Run.open(tmp_path / "r").model.id == "m"
    assert list_runs(tmp_path) == [tmp_path / "r"]
    with pytest.raises(UserError, match="detect"):
        run.heads()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="not a run folder"):
        Run.create(other)
    (tmp_path / "r" / "run.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        Run.open(tmp_path / "r")


def test_a_stage_holds_its_run(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r")
    with working(run, "detect"):
        assert Run.open(run.path).record.state == "running"
        with pytest.raises(UserError, match="another process"), working(run, "score"):
            pass
    assert Run.open(run.path).record.state == "done"
    with pytest.raises(Cancelled), working(run, "detect"):
        os.kill(os.getpid(), signal.SIGTERM)
    assert Run.open(run.path).record.state == "cancelled"
    with pytest.raises(UserError), working(run, "detect"):
        raise UserError("bad")
    assert Run.open(run.path).record.state == "failed"


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200))
def test_groups_keep_the_budget(lengths: list[int], budget: int) -> None:
    groups = group_by_tokens(lengths, budget)
    assert sorted(i for g in groups for i in g) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or max(lengths[i] for i in group) * len(group) <= budget


def test_halves_of_a_batch() -> None:
    samples = [Encoded(str(i), "s", list(range(1, 8 + i)), 3) for i in range(3)]
    batch = loss_batch(samples, tiny_model("llama").device)
    left, right = batch.halves()
    assert left.sample_ids + right.sample_ids == batch.sample_ids
    assert right.targets.tolist() == batch.targets[batch.rows >= 1].tolist()
    assert int(right.rows.min()) == 0 and left.ids.shape[1] == 7


def test_the_prompt_response_boundary_is_exact() -> None:
    tokenizer = tiny_tokenizer(bos=True)
    sample = Sample("i", "s", "What is 12 + 30?", "12 + 30 = 42", {})
    encoded = encode_for_loss(tokenizer, sample, template="plain")
    assert isinstance(encoded, Encoded)
    response = tokenizer(sample.response, add_special_tokens=False)["input_ids"]
    assert encoded.ids[encoded.loss_from :] == response
    assert encoded.ids[0] == tokenizer.bos_token_id
    assert encoded.text == "What is 12 + 30?\n12 + 30 = 42"
    everything = encode_for_loss(tokenizer, sample, template="plain", loss_tokens="all")
    assert isinstance(everything, Encoded) and everything.loss_from == 1


def test_templates() -> None:
    tokenizer = tiny_tokenizer()
    assert resolve_template(tokenizer, "auto") == "plain"
    with pytest.raises(UserError, match="chat template"):
        resolve_template(tokenizer, "chat")
    sample = Sample("i", "s", "hi", None, {})
    assert encode_for_loss(tokenizer, sample, template="plain") == "no response"


def test_a_chat_template_may_refuse_a_prompt() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% if 'secret' in messages[0]['content'] %}{{ raise_exception('no secrets') }}{% endif %}"
        "{{ messages[0]['content'] }}"
    )
    for prompt, refused in (("a secret sum", True), ("a sum", False)):
        sample = Sample("i", "s", prompt, "12 + 30 = 42", {})
        found = encode_for_loss(tokenizer, sample, template="chat")
        assert isinstance(found, str) == refused
    assert "no secrets" in str(
        encode_for_loss(tokenizer, Sample("i", "s", "secret", "1", {}), template="chat")
    )


def test_scored_texts_are_truncated_with_offsets() -> None:
    [one] = encode_texts(tiny_tokenizer(bos=True), ["Tom has 12 apples"], 4)
    assert len(one.ids) == len(one.starts) == len(one.special) == 4
    assert one.truncated and one.n_full > 4
    assert one.special == [True, False, False, False] and one.starts[:2] == [0, 0]


def test_probe_criteria() -> None:
    samples = [Encoded(f"s{i}", "ab"[i % 3 == 0], [1, 2], 1) for i in range(9)]
    losses = np.array([1, 9, 2, 8, 3, 7, np.nan, 6, 5.0])
    assert choose_probe(samples, losses, criterion="loss", size=3) == [1, 3, 5]
    assert choose_probe(samples, losses, criterion="random", size=3) == [0, 1, 2]
    even = choose_probe(samples, losses, criterion="stratified", size=4)
    assert sorted(samples[i].source for i in even) == ["a", "a", "b", "b"]
    with pytest.raises(UserError):
        choose_probe(samples, np.full(9, np.nan), criterion="loss", size=3)
