"""Every format and place: what is read, where a row says it stands, what cannot be read."""

from __future__ import annotations

import datetime
import decimal
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.sample import Reject, Sample
from circuitseer_core.errors import UserError
from circuitseer_core.json_io import jsonable

ROWS = [{"question": f"{n}+1?", "answer": str(n + 1), "level": n} for n in range(5)]


def write(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    """Write rows in the format that the path's ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in {".jsonl", ".ndjson"}:
        path.write_text("\n".join(json.dumps(row) for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        pd.DataFrame(rows).to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "json", "csv", "tsv", "parquet"])
def test_every_format_gives_the_same_samples(tmp_path: Path, ending: str) -> None:
    corpus = Corpus([str(write(tmp_path / f"sums.{ending}"))])
    samples = [entry for entry in corpus if isinstance(entry, Sample)]
    assert corpus.count() == 5
    assert [(s.prompt, s.response, s.source) for s in samples] == [
        (row["question"], row["answer"], "sums") for row in ROWS
    ]
    reference = Corpus([str(write(tmp_path / "other" / "sums.jsonl"))])
    assert [s.id for s in samples] == [s.id for s in reference if isinstance(s, Sample)]
    assert {str(s.original["level"]) for s in samples} == {"0", "1", "2", "3", "4"}


@pytest.mark.parametrize("key", ["data", "train", "rows", "anything"])
def test_json_with_the_rows_under_a_key(tmp_path: Path, key: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"version": 1, "tags": ["x"], key: ROWS}))
    corpus = Corpus([str(path)])
    assert corpus.count() == len(list(corpus)) == 5


def test_json_that_is_json_lines_or_a_single_row(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    assert Corpus([str(path)]).count() == len(list(Corpus([str(path)]))) == 5
    path.write_text(json.dumps(ROWS[0]))
    assert [s.prompt for s in Corpus([str(path)])] == ["0+1?"]
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "1+1?"}]}))
    assert [s.prompt for s in Corpus([str(path)])] == ["1+1?"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"question": "a"},', "not valid JSON: .* at line 1, column 20"),
        ('"just text"', "neither a list of rows nor an object"),
        (
            '{"left": [{"question": "a"}], "right": [{"question": "b"}]}',
            "has the splits left, right: name one",
        ),
    ],
)
def test_json_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        Corpus([str(path)]).count()


def test_json_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes('[{"question": "café"}]'.encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        Corpus([str(path)]).count()


def test_json_list_with_an_element_that_is_no_object(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"question": "a"}, 3]')
    assert list(Corpus([str(path)]))[1] == Reject("a.json row 2", "a", "not a JSON object")


def test_jsonl_rejects_carry_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    deep = b'{"question": ' + b"[" * 100_000
    lines = [b'\xef\xbb\xbf{"question": "bom"}', b"", b"{broken", b'{"question": "\xff"}', deep]
    path.write_bytes(b"\n".join([*lines, b'{"question": "last"}']))
    corpus = Corpus([str(path)])
    entries = list(corpus)
    assert corpus.count() == len(entries) == 5
    assert [e.prompt for e in entries if isinstance(e, Sample)] == ["bom", "last"]
    rejects = {e.where: e.reason for e in entries if isinstance(e, Reject)}
    assert list(rejects) == ["a.jsonl:3", "a.jsonl:4", "a.jsonl:5"]
    assert rejects["a.jsonl:3"].startswith("invalid JSON")
    assert rejects["a.jsonl:4"] == "not UTF-8 (byte 15 of the line)"
    assert "nested too deeply" in rejects["a.jsonl:5"]


def test_csv_line_numbers_quotes_and_broken_records(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'question,answer\r\n"two\nlines, and a ""quote""",1\r\n\r\n'
        b"too,many,cells\r\nlatin \xe9,2\r\nfine,3\r\n" + b'"never closed,4\r\nend,5\r\n'
    )
    corpus = Corpus([str(path)])
    entries = list(corpus)
    assert corpus.count() == len(entries) == 5
    samples = [e for e in entries if isinstance(e, Sample)]
    assert [s.prompt for s in samples] == ['two\nlines, and a "quote"', "fine"]
    rejects = {e.where: e.reason for e in entries if isinstance(e, Reject)}
    assert rejects["a.csv:5"] == "3 cells under a header of 2"
    assert rejects["a.csv:6"] == "not UTF-8"
    assert rejects["a.csv:8"].startswith("invalid CSV")


def test_csv_cells_may_be_very_long(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question\n" + "x" * 300_000 + "\n")
    (sample,) = Corpus([str(path)])
    assert isinstance(sample, Sample) and len(sample.prompt) == 300_000


def test_csv_with_a_header_only_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,answer\n")
    with pytest.raises(UserError, match="has no rows"):
        list(Corpus([str(path)]))


def test_parquet_nested_columns_and_places(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]
    rows: list[dict[str, Any]] = [
        {"messages": turns, "when": datetime.datetime(2024, 1, 2)},
        {"messages": None, "when": None},
    ]
    path = write(tmp_path / "a.parquet", rows)
    sample, reject = Corpus([str(path)])
    assert isinstance(sample, Sample) and isinstance(reject, Reject)
    assert (sample.prompt, sample.response) == ("1+1?", "2")
    assert json.loads(json.dumps(sample.original))["when"] == "2024-01-02T00:00:00"
    assert (reject.where, reject.reason) == ("a.parquet row 2", "messages is missing")


def test_parquet_is_streamed_from_one_large_row_group(tmp_path: Path) -> None:
    frame = pd.DataFrame({"question": [f"{n} " + "x" * 500 for n in range(40_000)]})
    path = tmp_path / "a.parquet"
    frame.to_parquet(path, row_group_size=len(frame))
    del frame
    corpus = Corpus([str(path)])
    tracemalloc.start()
    rows = sum(1 for _ in corpus)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == corpus.count() == 40_000
    assert peak < 8e6  # the texts have 20 MB


@pytest.mark.parametrize("content", [b"", b"no parquet at all", b"PAR1" + b"\0" * 20 + b"PAR1"])
def test_parquet_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a readable Parquet file") as caught:
        Corpus([str(path)])
    assert "\n" not in str(caught.value)


def test_a_folder_of_mixed_files(tmp_path: Path) -> None:
    write(tmp_path / "d" / "b.csv")
    write(tmp_path / "d" / "a.jsonl")
    write(tmp_path / "d" / "deep" / "c.parquet")
    write(tmp_path / "d" / ".hidden" / "x.jsonl")
    (tmp_path / "d" / "README.md").write_text("not data")
    corpus = Corpus([str(tmp_path / "d")])
    assert corpus.count() == 15
    assert list(dict.fromkeys(s.source for s in corpus)) == ["a", "b", "c"]
    assert [f["name"] for f in corpus.fingerprint()["files"]] == [
        "a.jsonl",
        "b.csv",
        "deep/c.parquet",
    ]
    assert {s.source for s in Corpus([f"mine={tmp_path / 'd'}"])} == {"mine"}


def test_shard_numbers_are_no_source_names(tmp_path: Path) -> None:
    for name in ["train-00000-of-00002", "train-00001-of-00002", "part-0001", "0002", "set_1500"]:
        write(tmp_path / "pool" / f"{name}.jsonl")
    assert {s.source for s in Corpus([str(tmp_path / "pool")])} == {"train", "pool", "set_1500"}


def test_a_dataset_saved_to_disk(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_list(ROWS)
    data.save_to_disk(tmp_path / "saved", num_shards=2)
    corpus = Corpus([str(tmp_path / "saved")])
    assert corpus.count() == 5
    assert [s.prompt for s in corpus] == [row["question"] for row in ROWS]
    assert {s.source for s in corpus} == {"saved"}
    both = datasets.DatasetDict(train=data, test=data.select([4, 2]))
    both.save_to_disk(tmp_path / "splits")
    with pytest.raises(UserError, match=r"has the splits train, test: name one, as .*splits:train"):
        Corpus([str(tmp_path / "splits")])
    samples = [s for s in Corpus([f"{tmp_path / 'splits'}:test"]) if isinstance(s, Sample)]
    assert [s.prompt for s in samples] == ["4+1?", "2+1?"]
    assert {s.source for s in samples} == {"splits"}
    named = Corpus([f"mine={tmp_path / 'splits'}:train"])
    assert named.count() == 5 and {s.source for s in named} == {"mine"}
    for spec, message in (
        (f"{tmp_path / 'splits'}:dev", "no split 'dev'; there are train, test"),
        (f"{tmp_path / 'saved'}:train", "has no splits"),
    ):
        with pytest.raises(UserError, match=message):
            Corpus([spec])
    (tmp_path / "saved" / "state.json").write_text("{}")
    with pytest.raises(UserError, match="not a readable saved dataset"):
        Corpus([str(tmp_path / "saved")])


def test_lists_in_a_json_file_are_splits(tmp_path: Path) -> None:
    path = tmp_path / "both.json"
    path.write_text(json.dumps({"train": ROWS, "test": ROWS[:2], "version": 1}))
    with pytest.raises(UserError, match="has the splits train, test: name one"):
        Corpus([str(path)]).count()
    assert Corpus([f"{path}:test"]).count() == 2
    (file,) = Corpus([f"{path}:train"]).fingerprint()["files"]
    assert file["name"] == "both.json:train"
    with pytest.raises(UserError, match="no split 'dev'; there are train, test"):
        Corpus([f"{path}:dev"]).count()
    path.write_text(json.dumps({"data": ROWS, "other": ROWS[:1]}))
    assert Corpus([str(path)]).count() == 5, "a list called data is all of the rows"


def test_hub_code_on_a_local_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    write(tmp_path / "hub" / "train.parquet")
    write(tmp_path / "hub" / "test.parquet", ROWS[:2])
    corpus = Corpus([f"sums=hf:{tmp_path / 'hub'}"])
    assert corpus.count() == 5
    assert [s.prompt for s in corpus] == [row["question"] for row in ROWS]
    assert {s.source for s in corpus} == {"sums"}
    (file,) = corpus.fingerprint()["files"]
    assert (file["split"], file["rows"], file["revision"]) == ("train", 5, None)
    assert Corpus([f"hf:{tmp_path / 'hub'}:test"]).count() == 2
    assert Corpus([f"hf:{tmp_path / 'hub'}:default:test"]).count() == 2
    with pytest.raises(UserError, match="has the splits .*: name one"):
        Corpus([f"hf:{tmp_path / 'hub'}:dev"]).count()
    with pytest.raises(UserError, match="cannot load hf:"):
        Corpus([f"hf:{tmp_path / 'hub'}:nope:test"]).count()


@pytest.mark.parametrize("spec", ["hf:", "hf:a:b:c:d", "hf:a::c"])
def test_hub_specs_that_are_malformed(spec: str) -> None:
    with pytest.raises(UserError, match="hf:dataset"):
        Corpus([spec])


def test_a_hub_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def unreachable(name: str, **_: Any) -> list[str]:
        raise ConnectionError(f"Couldn't reach {name}\nand a second line")

    monkeypatch.setattr(datasets, "get_dataset_config_names", unreachable)
    corpus = Corpus(["hf:someone/something"])
    with pytest.raises(UserError, match="Hub is out of reach .*Couldn't reach") as caught:
        corpus.count()
    assert "\n" not in str(caught.value)


def test_places_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    (tmp_path / "a.xlsx").write_text("x")
    for spec, message in {
        "nowhere.jsonl": "no such file or folder: .*nowhere.jsonl",
        "a.xlsx": r"no format that is read here .*\.jsonl",
        "void": "holds no file of a known format",
    }.items():
        with pytest.raises(UserError, match=message):
            Corpus([str(tmp_path / spec)])
        with pytest.raises(UserError, match=message):
            Corpus([f"name={tmp_path / spec}"])


def test_a_path_with_an_equals_sign_is_no_name(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "lr=1.jsonl")
    assert {s.source for s in Corpus(["lr=1.jsonl"])} == {"lr=1"}


def test_jsonable() -> None:
    value = {
        1: np.float32(0.5),
        "n": np.int64(3),
        "a": np.arange(2),
        "nan": float("nan"),
        "d": decimal.Decimal("1.5"),
        "day": datetime.date(2024, 1, 2),
        "span": datetime.timedelta(minutes=1),
        "b": b"\x00",
        "t": (1, {2}),
        "s": "half \ud83d, whole é",
        "flag": np.bool_(True),
    }
    made = jsonable(value)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made == {
        "1": 0.5,
        "n": 3,
        "a": [0, 1],
        "nan": None,
        "d": 1.5,
        "day": "2024-01-02",
        "span": 60.0,
        "b": "AA==",
        "t": [1, [2]],
        "s": "half \ufffd, whole é",
        "flag": True,
    }
