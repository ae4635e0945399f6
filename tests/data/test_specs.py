"""What a DATA spec says, without opening it."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.data.specs import (
    file_of,
    is_data,
    is_hub,
    is_remote,
    local_paths,
    short_name,
    source_and_place,
)


@pytest.mark.parametrize(
    ("spec", "hub", "remote", "data", "name"),
    [
        ("hf:openai/gsm8k:main:test", True, True, True, "hf:openai/gsm8k:main:test"),
        ("bench=hf-stream:a/b@v1", True, True, True, "hf-stream:a/b@v1"),
        ("https://user:key@host/dir/b.jsonl?sig=1", False, True, True, "b.jsonl"),
        ("https://example.org/q/12", False, True, False, "12"),  # a name may be an address
        ("{tmp}/a.jsonl", False, False, True, "a.jsonl"),
        ("file://{tmp}/a.jsonl", False, False, True, "a.jsonl"),
        ("mine={tmp}/a.jsonl", False, False, True, "a.jsonl"),
        ("{tmp}:train", False, False, True, None),
        ("{tmp}/*.jsonl", False, False, True, "*.jsonl"),
        ("{tmp}/*.csv", False, False, False, "*.csv"),
        ("gsm8k/train/12", False, False, False, "12"),
        ("a=b", False, False, False, "b"),
    ],
)
def test_what_a_spec_is(
    tmp_path: Path, spec: str, hub: bool, remote: bool, data: bool, name: str | None
) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    spec = spec.replace("{tmp}", str(tmp_path))
    assert (is_hub(spec), is_remote(spec), is_data(spec)) == (hub, remote, data)
    assert name is None or short_name(spec) == name


def test_what_of_this_machine_it_names(tmp_path: Path) -> None:
    one, two = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    one.write_text("{}")
    two.write_text("{}")
    assert local_paths(f"{tmp_path}/*.jsonl") == [one, two]
    assert local_paths(f"s={tmp_path}:train") == local_paths(str(tmp_path)) == [tmp_path]
    assert local_paths(f"{tmp_path}/none") == local_paths("hf:a/b") == local_paths("name=") == []
    assert file_of(f"s={one}") == one and file_of(str(tmp_path)) is None
    assert source_and_place(f"s={one}") == ("s", str(one))
