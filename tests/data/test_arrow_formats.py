"""Whatever a data file holds: one clear line, or every row accounted for (more: make fuzz)."""

from __future__ import annotations

import decimal
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from circuitseer_core.data import arrow_formats, arrow_messages, compression
from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.sample import Reject, Sample
from circuitseer_core.errors import UserError
from circuitseer_core.json_io import jsonable
from tests.support.hostile_files import KINDS, hostile_file

FILES = int(os.environ.get("CIRCUITSEER_FUZZ", "2100"))
FIRST = int(os.environ.get("CIRCUITSEER_FUZZ_FIRST", "0"))


def outcome(spec: str) -> str:
    """``told`` for one clear line, ``read`` where samples and rejects add up to the rows."""
    try:
        corpus = Corpus([spec])
        count = corpus.count()
        samples = rejects = 0
        for entry in corpus:
            if isinstance(entry, Sample):
                samples += 1
                f"{entry.id}{entry.source}{entry.prompt}{entry.response}".encode()
            else:
                rejects += 1
                assert isinstance(entry, Reject) and entry.where and entry.reason
                f"{entry.where}{entry.source}{entry.reason}".encode()
        assert samples + rejects == count
    except UserError as error:
        assert str(error) and "\n" not in str(error), str(error)
        return "told"
    return "read"


def test_decimal_ids_keep_every_digit(tmp_path: Path) -> None:
    """NUMERIC columns of a database come as decimals; whole ones are integers, as ids too."""
    ids = [decimal.Decimal("12345678901234567891"), decimal.Decimal("12345678901234567892")]
    table = pa.table(
        {
            "id": pa.array(ids, pa.decimal128(20, 0)),
            "question": ["a", "b"],
            "price": pa.array([decimal.Decimal("1.50"), None], pa.decimal128(5, 2)),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    samples = [
        entry for entry in Corpus([f"s={tmp_path / 'a.parquet'}"]) if isinstance(entry, Sample)
    ]
    assert [s.id for s in samples] == ["s/12345678901234567891", "s/12345678901234567892"]
    assert samples[0].original == {"id": 12345678901234567891, "question": "a", "price": 1.5}
    assert jsonable(decimal.Decimal("1E+999999")) is None, "no number that JSON or a float has"


def test_generated_files(
    tmp_path: Path, count: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "FREE_BYTES", 1 << 20)  # so that small bombs are bombs
    seen: Counter[str] = Counter()
    began = time.monotonic()
    for seed in range(FIRST, FIRST + FILES):
        path = hostile_file(tmp_path, seed)
        try:
            seen[f"{KINDS[seed % len(KINDS)]} {outcome(str(path))}"] += 1
        except Exception as error:
            raise AssertionError(f"file number {seed}: {error!r}") from error
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    refused = sum(n for what, n in seen.items() if what.endswith("told"))
    count(
        f"{FILES:,} generated files: {FILES - refused:,} read, {refused:,} refused in a line, "
        f"{time.monotonic() - began:.0f} s; {dict(sorted(seen.items()))}"
    )
    assert {what.split()[1] for what in seen} == {"told", "read"}


@pytest.mark.parametrize(
    "spec", ["~nobody-of-this-name/x.jsonl", "x" * 5_000, "a\0b.jsonl", "", "=", "/dev/null"]
)
def test_what_is_no_path_is_one_line(spec: str) -> None:
    assert outcome(spec) == "told"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(UserError, match="no ordinary file"):
        Corpus([str(tmp_path / "pipe.jsonl")])


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-be", "utf-32"])
def test_wide_characters_are_named(tmp_path: Path, coding: str) -> None:
    mark = "\ufeff" if coding.endswith("be") else ""
    (tmp_path / "a.jsonl").write_bytes(f'{mark}{{"question": "x"}}\n'.encode(coding))
    with pytest.raises(UserError, match="UTF-16 or UTF-32"):
        Corpus([str(tmp_path / "a.jsonl")])


@pytest.mark.parametrize("change", ["cut", "grown", "gone"])
def test_a_file_that_changes_during_the_run_stops_it(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a.jsonl"
    lines = [f'{{"question": "number {i}?"}}\n' for i in range(5)]
    path.write_text("".join(lines))
    corpus = Corpus([str(path)])
    assert corpus.count() == 5
    if change == "gone":
        path.unlink()
    else:
        path.write_text("".join(lines[:3] if change == "cut" else lines * 2))
    with pytest.raises(UserError, match="changed while it was read|can no longer be read"):
        list(corpus)


def test_cells_that_python_cannot_hold_lose_their_row_alone(tmp_path: Path) -> None:
    when = pa.array([0, 2**61, 1], pa.int64()).cast(pa.timestamp("us"), safe=False)
    pq.write_table(pa.table({"question": ["a?", "b?", "c?"], "when": when}), tmp_path / "a.parquet")
    entries = list(Corpus([str(tmp_path / "a.parquet")]))
    assert [type(entry) for entry in entries] == [Sample, Reject, Sample]
    assert entries[1].where == "a.parquet row 2" and "when" in entries[1].reason  # type: ignore[union-attr]


def test_a_file_that_is_small_on_disk_only_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_formats, "FREE_BYTES", 1 << 20)
    path = tmp_path / "bomb.parquet"
    schema = pa.schema([("question", pa.binary())])
    chunk = pa.table({"question": [bytes(1 << 20)]}, schema=schema)
    with pq.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=False, write_statistics=False
    ) as writer:
        writer.write_table(pa.concat_tables([chunk] * 17))
    assert path.stat().st_size < 1 << 16
    with pytest.raises(UserError, match="more than 1,000 times"):
        Corpus([str(path)])


def ipc(path: Path, table: pa.Table, kind: str, compression: str | None) -> None:
    made = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with made(str(path), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=2)


@pytest.mark.parametrize("ending", ["arrow", "feather"])
@pytest.mark.parametrize("kind", ["file", "stream"])
@pytest.mark.parametrize("packed", [None, "lz4", "zstd"])
def test_arrow_files_and_streams(
    tmp_path: Path, ending: str, kind: str, packed: str | None
) -> None:
    table = pa.table(
        {
            "question": [f"{n}+1?" for n in range(5)],
            "answer": pa.array([str(n + 1) for n in range(5)]).dictionary_encode(),
        }
    )
    ipc(tmp_path / f"sums.{ending}", table, kind, packed)
    corpus = Corpus([str(tmp_path / f"sums.{ending}")])
    assert corpus.count() == 5
    samples = [(e.prompt, e.response, e.source) for e in corpus if isinstance(e, Sample)]
    assert samples == [(f"{n}+1?", str(n + 1), "sums") for n in range(5)]


@pytest.mark.parametrize("kind", ["file", "stream", "parquet"])
def test_a_column_whose_name_is_not_utf_8_is_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("a.parquet" if kind == "parquet" else "a.arrow")
    table = pa.table({"question": ["a?"], "level": ["b"]})
    if kind == "parquet":
        pq.write_table(table, path, store_schema=False)
    else:
        ipc(path, table, kind, None)
    path.write_bytes(path.read_bytes().replace(b"level", b"l\xf5vel"))
    with pytest.raises(UserError, match=r"a\.\w+: the name of (a column|column 2) is not UTF-8"):
        Corpus([str(path)]).count()


def test_feather_as_it_is_usually_written(tmp_path: Path) -> None:
    feather = pytest.importorskip("pyarrow.feather")
    table = pa.table({"question": ["a?"], "answer": ["b"]})
    feather.write_feather(table, tmp_path / "a.feather")
    assert [e.prompt for e in Corpus([str(tmp_path / "a.feather")])] == ["a?"]  # type: ignore[union-attr]
    (tmp_path / "old.feather").write_bytes(b"FEA1" + bytes(60))
    with pytest.raises(UserError, match="Feather version 1: write it again as version 2"):
        Corpus([str(tmp_path / "old.feather")])


@pytest.mark.parametrize("packed", ["lz4", "zstd"])
def test_sizes_that_batches_claim_are_those_they_have(tmp_path: Path, packed: str) -> None:
    table = pa.table({"question": ["a" * 1000] * 2, "n": pa.array(["x" * 400] * 2)})
    ipc(tmp_path / "a.arrow", table, "stream", packed)
    with pa.OSFile(str(tmp_path / "a.arrow")) as file:
        batches = [m for m in pa.ipc.MessageReader.open_stream(file) if m.type == "record batch"]
    sizes = [arrow_messages.expanded_size(m.metadata, m.body, m.type) for m in batches]
    texts = 2 * 1000 + 2 * 400
    assert len(sizes) == 1 and texts <= sizes[0] <= texts + 4 * 8 + 2 * 8


def test_a_batch_that_expands_too_far_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_messages, "FREE_BYTES", 1 << 20)
    monkeypatch.setattr(arrow_messages, "MOST_EXPANSION", 100)
    ipc(tmp_path / "a.arrow", pa.table({"question": ["a" * (4 << 20)]}), "file", "zstd")
    with pytest.raises(UserError, match="GiB a batch, more than 100 times its size: refused"):
        Corpus([str(tmp_path / "a.arrow")])
