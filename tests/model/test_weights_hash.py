"""Weights are hashed once a machine, and again when they change."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from circuitseer_core.files import cache_home
from circuitseer_core.model import weights_hash as hashing
from circuitseer_core.model.weights_hash import weights_hash


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRCUITSEER_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    model.mkdir()
    (model / "b.safetensors").write_bytes(b"two")
    (model / "a.safetensors").write_bytes(b"one")
    (model / "config.json").write_text("{}")
    return model


def by_hand(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in ("a.safetensors", "b.safetensors"):
        digest.update(name.encode() + hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def test_the_second_time_no_file_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights_hash(folder) == by_hand(folder)

    def never(*args: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(hashing.hashlib, "file_digest", never)
    assert weights_hash(folder) == by_hand(folder)


@pytest.mark.parametrize("content", [b"other", b"owt"], ids=["another size", "the same size"])
def test_changed_weights_have_another_hash(folder: Path, content: bytes) -> None:
    before = weights_hash(folder)
    path = folder / "b.safetensors"
    later = path.stat().st_mtime_ns + 1_000_000
    path.write_bytes(content)
    os.utime(path, ns=(later, later))
    assert weights_hash(folder) == by_hand(folder) != before


@pytest.mark.parametrize("layout", ["one file", "several files", "no index"])
def test_files_that_are_not_loaded_do_not_count(folder: Path, layout: str) -> None:
    """The same weights in another format, beside those that Transformers reads."""
    if layout == "one file":
        (folder / "a.safetensors").rename(folder / "model.safetensors")
        (folder / "b.safetensors").unlink()
    elif layout == "several files":
        index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors", "z": "a.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    before = weights_hash(folder)
    (folder / "pytorch_model.bin").write_bytes(b"one and two")
    (folder / "consolidated.safetensors").write_bytes(b"one and two")
    assert (weights_hash(folder) == before) == (layout != "no index")
    if layout == "several files":
        assert before == by_hand(folder)


@pytest.mark.parametrize("index", ["{", "[]", '{"weight_map": 1}', '{"weight_map": {"x": 1}}'])
def test_a_broken_index_leaves_every_file_in(folder: Path, index: str) -> None:
    (folder / "model.safetensors.index.json").write_text(index)
    assert weights_hash(folder) == by_hand(folder)


def test_files_that_are_gone_are_forgotten(folder: Path, tmp_path: Path) -> None:
    weights_hash(folder)
    (folder / "a.safetensors").unlink()
    (folder / "b.safetensors").rename(folder / "c.safetensors")
    weights_hash(folder)
    kept = json.loads((cache_home() / "weights.json").read_text())
    assert [key.split()[0] for key in kept] == [str(folder / "c.safetensors")]


@pytest.mark.parametrize("stored", ["[]", "{", '{"a": 1}', ""])
def test_a_damaged_memory_is_no_memory(folder: Path, stored: str) -> None:
    cache_home().mkdir(parents=True)
    (cache_home() / "weights.json").write_text(stored)
    assert weights_hash(folder) == by_hand(folder)


def test_a_memory_that_cannot_be_written_costs_time_only(folder: Path) -> None:
    cache_home().parent.mkdir(parents=True, exist_ok=True)
    cache_home().write_text("a file where the folder should be")
    assert weights_hash(folder) == by_hand(folder)


def test_weights_that_the_configuration_names_count(folder: Path) -> None:
    (folder / "a.safetensors").rename(folder / "model.safetensors")
    before = weights_hash(folder)
    (folder / "config.json").write_text('{"transformers_weights": "b.safetensors"}')
    assert weights_hash(folder) != before
