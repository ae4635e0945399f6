"""Compressed text: the same samples as plain, streamed; bombs, cut and damaged files in a line."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest

from circuitseer_core.data import compression
from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.sample import Sample
from circuitseer_core.errors import UserError

ROWS = [{"question": f"{n}+1?", "answer": str(n + 1)} for n in range(5)]
TEXTS = {
    "jsonl": "\n".join(map(json.dumps, ROWS)),
    "json": json.dumps(ROWS),
    "csv": "question,answer\n" + "\n".join(",".join(row.values()) for row in ROWS),
    "tsv": "question\tanswer\n" + "\n".join("\t".join(row.values()) for row in ROWS),
}


def packed(text: bytes, ending: str) -> bytes:
    codec = compression.CODECS[f".{ending}"]
    return bytes(pa.compress(text, codec=codec, asbytes=True))


@pytest.mark.parametrize("ending", ["gz", "zst", "GZ"])
@pytest.mark.parametrize("kind", list(TEXTS))
def test_the_same_samples_as_from_the_plain_file(tmp_path: Path, kind: str, ending: str) -> None:
    path = tmp_path / f"sums.{kind}.{ending}"
    path.write_bytes(packed(TEXTS[kind].encode(), ending.lower()))
    plain = tmp_path / f"sums.{kind}"
    plain.write_text(TEXTS[kind])
    corpus = Corpus([str(path)])
    assert corpus.count() == 5
    assert list(corpus) == list(Corpus([str(plain)]))
    assert {sample.source for sample in corpus} == {"sums"}
    (file,) = corpus.fingerprint()["files"]
    assert (file["name"], file["bytes"]) == (path.name, path.stat().st_size)


def test_several_members_one_after_another_are_one_file(tmp_path: Path) -> None:
    for ending in ("gz", "zst"):
        path = tmp_path / f"a.jsonl.{ending}"
        path.write_bytes(b"".join(packed(json.dumps(r).encode() + b"\n", ending) for r in ROWS))
        assert Corpus([str(path)]).count() == len(list(Corpus([str(path)]))) == 5


def test_a_folder_takes_compressed_files_with_the_others(tmp_path: Path) -> None:
    (tmp_path / "a-00000-of-00001.jsonl.gz").write_bytes(packed(TEXTS["jsonl"].encode(), "gz"))
    (tmp_path / "b.csv").write_text(TEXTS["csv"])
    (tmp_path / "notes.txt.gz").write_bytes(packed(b"no data", "gz"))
    corpus = Corpus([str(tmp_path)])
    assert corpus.count() == 10 and {s.source for s in corpus} == {"a", "b"}


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_bomb_is_one_line_and_takes_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(compression, "FREE_BYTES", 1 << 20)
    path = tmp_path / f"bomb.jsonl.{ending}"
    path.write_bytes(packed(b'{"question": "' + bytes(40 << 20) + b'"}', ending))
    tracemalloc.start()
    with pytest.raises(UserError, match="expands to more than 200 times its size") as caught:
        Corpus([str(path)]).count()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "\n" not in str(caught.value) and peak < 30 << 20


def test_text_that_compresses_well_is_no_bomb(tmp_path: Path) -> None:
    row = json.dumps({"question": "What is one and one?", "answer": "Two."}).encode() + b"\n"
    path = tmp_path / "same.jsonl.gz"
    path.write_bytes(packed(row * 20_000, "gz"))
    assert path.stat().st_size * 100 < len(row) * 20_000
    assert Corpus([str(path)]).count() == 20_000


@pytest.mark.parametrize("ending", ["gz", "zst"])
@pytest.mark.parametrize("damage", ["cut", "tail", "plain"])
def test_damaged_files_are_one_line(tmp_path: Path, ending: str, damage: str) -> None:
    path = tmp_path / f"a.jsonl.{ending}"
    whole = packed(TEXTS["jsonl"].encode(), ending)
    broken = {"cut": whole[:-4], "tail": whole + b"and more", "plain": TEXTS["jsonl"].encode()}
    path.write_bytes(broken[damage])
    with pytest.raises(UserError, match=f"a.jsonl.{ending} is no whole (gzip|zstd) file") as raised:
        list(Corpus([str(path)]))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", packed(b"{}", "gz"), "a.jsonl is compressed: let its name end in .gz"),
        ("a.csv", packed(b"q\n1", "zst"), "a.csv is compressed: let its name end in .zst"),
        ("a.jsonl.gz", packed(packed(b"{}", "gz"), "gz"), "is compressed twice: unpack it"),
        ("a.parquet.gz", packed(b"PAR1", "gz"), "around a format that compresses itself"),
        ("a.jsonl.gz", packed("\ufeff{}".encode("utf-16-le"), "gz"), "UTF-16 or UTF-32"),
        ("a.jsonl.gz", b"", "a.jsonl.gz has no rows"),
        ("a.gz", packed(b"{}", "gz"), "no format that is read here"),
    ],
)
def test_what_is_named_wrongly_says_so(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        Corpus([str(tmp_path / name)]).count()


def test_compressed_rows_are_streamed(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        for n in range(20_000):
            file.write(json.dumps({"question": f"{n} " + f"{n * n}" * 150}) + "\n")
    corpus = Corpus([str(path)])
    tracemalloc.start()
    rows = sum(isinstance(entry, Sample) for entry in corpus)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 20_000 and peak < 8e6
