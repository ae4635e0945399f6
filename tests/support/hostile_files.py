"""Data files that somebody broke, or built to break something: any number, the same every time."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

KINDS = (
    "jsonl", "json", "csv", "tsv", "parquet", "arrow", "folder", "feather", "jsonl.gz", "jsonl.zst",
    "csv.gz", "json.zst", "bomb",
)  # fmt: skip
_CELLS: tuple[Any, ...] = (
    None, "", " ", 0, -1, 1e308, float("nan"), float("inf"), True, [], {}, [[]], {"a": {"b": []}},
    "\x00", "\ud800", "\u202e", "=1+1", "a" * 5_000, "\r\n", '"', "'", "\\", "\ufeff", "é", "𝕏",
    [{"role": "user", "content": "hi"}], [{"role": 3}], [{"from": "gpt", "value": None}], b"\xff",
)  # fmt: skip
_NAMES = ("question", "answer", "id", "source", "messages", "Prompt", "", "a" * 300, "question ")


def hostile_file(folder: Path, seed: int) -> Path:
    """Write the file (or folder) number ``seed``; returns the path to open."""
    rng = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    rows = [_row(rng) for _ in range(rng.randrange(0, 12))]
    if kind == "folder":
        return _saved(folder / str(seed), rng, rows)
    if kind == "bomb":
        return _bomb(folder, seed, rng)
    inner, _, codec = kind.partition(".")
    if inner in ("jsonl", "json") and seed % 3 == 0:  # no prompt, and a name that cannot be written
        rows.append({"\udc80": 1})
    raw = _bytes(inner, rows, rng)
    if codec and rng.random() < 0.5:  # broken inside a whole file
        raw = _broken(raw, rng)
    if codec and rng.random() < 0.95:  # else by its name alone
        raw = packed(raw, codec)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 5))):
        raw = _broken(raw, rng)
    path = folder / f"{seed}.{kind}"
    path.write_bytes(raw)
    return path


def packed(raw: bytes, codec: str) -> bytes:
    """Compressed, as a file ending in .gz or .zst is."""
    name = {"gz": "gzip", "zst": "zstd"}[codec]
    return bytes(pa.compress(raw, codec=name, asbytes=True))


def _bomb(folder: Path, seed: int, rng: random.Random) -> Path:
    """A few kilobytes on disk that expand to megabytes, in one row or in many, or in a batch."""
    size = rng.choice((1 << 18, 1 << 22))
    kind = rng.choice(("jsonl.gz", "jsonl.zst", "csv.gz", "csv.zst", "json.gz", "feather", "arrow"))
    path = folder / f"{seed}.{kind}"
    if kind in ("feather", "arrow"):
        raw = _ipc(pa.table({"question": ["a" * size]}), rng, "zstd")
        if rng.random() < 0.7:  # claims a size of its own
            claim = size.to_bytes(8, "little")
            raw = raw.replace(claim, rng.choice((1 << 33, 1 << 45, 1 << 62)).to_bytes(8, "little"))
        path.write_bytes(raw)
        return path
    row = rng.choice((b"a", b"\n", b'{"question": "x", "answer": "y"}\n', b",", b"[", b"\x00"))
    start = rng.choice((b'{"question": "', b"question,answer\n", b""))
    path.write_bytes(packed(start + row * (size // len(row)), kind.rpartition(".")[2]))
    return path


def _ipc(table: pa.Table, rng: random.Random, compression: str | None) -> bytes:
    """Arrow IPC, as a file or as a stream."""
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    made = rng.choice((pa.ipc.new_file, pa.ipc.new_stream))
    with made(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rng.choice((None, 1, 3)))
    return sink.getvalue()


def _row(rng: random.Random) -> dict[str, Any]:
    row: dict[str, Any] = {"question": f"What is {rng.random():.3f}?", "answer": "x"}
    for _ in range(rng.randrange(0, 4)):
        row[rng.choice(_NAMES)] = rng.choice(_CELLS)
    if rng.random() < 0.02:
        row["deep"] = _nested(rng.choice((150, 199, 201, 900, 5_000)))
    return row


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def _bytes(kind: str, rows: list[dict[str, Any]], rng: random.Random) -> bytes:
    if kind == "parquet":
        return _parquet(rows, rng)
    if kind in ("arrow", "feather"):
        table = _table(rows, rng)
        if rng.random() < 0.3:
            table = table.set_column(0, "question", table["question"].dictionary_encode())
        return _ipc(table, rng, rng.choice(("lz4", "zstd", None)))
    if kind in ("csv", "tsv"):
        split = rng.choice(("\t" if kind == "tsv" else ",",) * 3 + (",", ";", "\t"))
        names = ["question", "answer", rng.choice(_NAMES)]
        lines = [names, *([str(row.get(n, "")) for n in names] for row in rows)]
        text = "\n".join(split.join(_quoted(cell, rng) for cell in line) for line in lines)
    elif kind == "jsonl":
        text = "\n".join(map(_json, rows))
    else:
        body = "[" + ",".join(map(_json, rows)) + "]"
        text = body if rng.random() < 0.7 else f'{{"data": {body}}}'
    coding = rng.choice(("utf-8",) * 12 + ("utf-16", "utf-32", "latin-1", "utf-8-sig"))
    return text.encode(coding, "surrogatepass" if coding.startswith("utf-8") else "replace")


def _json(row: dict[str, Any]) -> str:
    try:
        return json.dumps(row, default=str)
    except RecursionError:
        return '{"question": ' + "[" * 5_000 + "1" + "]" * 5_000 + "}"


def _texts(rows: list[dict[str, Any]]) -> list[str]:
    return [str(row["question"]).encode("utf-8", "replace").decode() for row in rows]


def _quoted(cell: str, rng: random.Random) -> str:
    return f'"{cell}"' if rng.random() < 0.5 else cell


def _parquet(rows: list[dict[str, Any]], rng: random.Random) -> bytes:
    sink = io.BytesIO()
    codec = rng.choice(("zstd", "snappy", "gzip"))
    pq.write_table(_table(rows, rng), sink, compression=codec)
    return sink.getvalue()


def _table(rows: list[dict[str, Any]], rng: random.Random) -> pa.Table:
    n = len(rows)
    columns: dict[str, pa.Array] = {"question": pa.array(_texts(rows), pa.string())}
    extra = rng.randrange(5)
    if extra == 0:
        columns["when"] = pa.array([rng.randrange(-(2**62), 2**62) for _ in rows], pa.int64()).cast(
            pa.timestamp(rng.choice(("us", "ns"))), safe=False
        )
    elif extra == 1:  # text that is not UTF-8
        raw = pa.array([b"\xff\xfe" if i % 2 else b"ok" for i in range(n)], pa.binary())
        columns["answer"] = pa.Array.from_buffers(pa.string(), n, raw.buffers())
    elif extra == 2:
        columns["answer"] = pa.array([b"\xff"] * n, pa.binary())
    elif extra == 3:
        columns["messages"] = pa.array([[{"role": "user", "content": "x"}]] * n)
    return pa.table(columns)


def _saved(folder: Path, rng: random.Random, rows: list[dict[str, Any]]) -> Path:
    """As ``datasets.save_to_disk`` writes it, with lists of files that may lead elsewhere."""
    folder.mkdir()
    table = pa.table({"question": pa.array(_texts(rows), pa.string())})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    raw = sink.getvalue()
    if rng.random() < 0.4:
        raw = _broken(raw, rng)
    (folder / "data.arrow").write_bytes(raw)
    names: Any = rng.choice(
        ("data.arrow", "data.arrow", "../x.arrow", "/etc/passwd", "", 3, None, "gone.arrow")
    )
    listed = rng.choice(({"_data_files": [{"filename": names}]}, {"_data_files": 3}, {}, [], 1))
    if rng.random() < 0.7:
        listed = {"_data_files": [{"filename": "data.arrow"}]}
    (folder / "state.json").write_text(json.dumps(listed))
    (folder / "dataset_info.json").write_text("{}")
    if rng.random() < 0.2:
        splits = rng.choice((["../.."], ["/"], "train", {"a": 1}, [3], []))
        (folder / "dataset_dict.json").write_text(json.dumps({"splits": splits}))
    return folder


def _broken(raw: bytes, rng: random.Random) -> bytes:
    if not raw:
        return bytes(rng.randrange(0, 40))
    at = rng.randrange(len(raw))
    how = rng.randrange(6)
    if how == 0:
        return raw[:at]
    if how == 1:
        return raw[:at] + bytes([raw[at] ^ (1 << rng.randrange(8))]) + raw[at + 1 :]
    if how == 2:
        return raw[:at] + bytes(rng.randrange(1, 64)) + raw[at + 32 :]
    if how == 3:
        return raw[:at] + rng.choice((b"\xff\xfe", b"\x00", b'"', b"\n", b"[" * 900)) + raw[at:]
    if how == 4:
        return raw + raw[at:]
    return rng.randbytes(len(raw) % 200)
