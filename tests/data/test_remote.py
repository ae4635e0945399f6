"""Patterns, addresses through fsspec, and the Hub with a revision or as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from circuitseer_core import installation
from circuitseer_core.data import remote
from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.remote import without_query
from circuitseer_core.data.specs import is_remote
from circuitseer_core.errors import UserError

ROWS = [{"question": f"{n}+1?", "answer": str(n + 1)} for n in range(5)]
LINES = "\n".join(map(json.dumps, ROWS)).encode()


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("CIRCUITSEER_HOME", str(tmp_path / "home"))
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.jsonl", "a.jsonl", "x/c.jsonl", "x/.d.jsonl", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(LINES)
    monkeypatch.chdir(tmp_path)
    for pattern, names in {
        "*.jsonl": ["a.jsonl", "b.jsonl"],
        f"{tmp_path}/*": ["a.jsonl", "b.jsonl"],
        "**/*.jsonl": ["a.jsonl", "b.jsonl", "x/c.jsonl"],
        "mine=x/?.jsonl": ["c.jsonl"],
        "[ab].jsonl": ["a.jsonl", "b.jsonl"],
    }.items():
        corpus = Corpus([pattern])
        assert [file["name"] for file in corpus.fingerprint()["files"]] == names, pattern
        assert corpus.count() == 5 * len(names)
    assert {s.source for s in Corpus(["mine=*.jsonl"])} == {"mine"}
    for pattern, message in {
        "*.csv": r"\*.csv matches nothing",
        "*.txt": "matches no file of a known format",
        "nowhere/*.jsonl": "matches nothing",
    }.items():
        with pytest.raises(UserError, match=message):
            Corpus([pattern])
    (tmp_path / "odd[1].jsonl").write_bytes(LINES)
    assert Corpus(["odd[1].jsonl"]).count() == 5, "a file of that name is no pattern"


def test_addresses(memory: Any, tmp_path: Path) -> None:
    memory.pipe("/pool/b.jsonl.gz", bytes(pa.compress(LINES, codec="gzip", asbytes=True)))
    memory.pipe("/pool/deep/a.jsonl", LINES)
    memory.pipe("/pool/.hidden/a.jsonl", LINES)
    memory.pipe("/pool/readme.txt", b"no data")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(ROWS), sink)
    memory.pipe("/pool/c.parquet", sink.getvalue().to_pybytes())
    for spec, names in {
        "memory://pool/b.jsonl.gz": ["b.jsonl.gz"],
        "memory://pool": ["b.jsonl.gz", "c.parquet", "deep/a.jsonl"],
        "memory://pool/*.parquet": ["c.parquet"],
        "memory://pool/**/*.jsonl": ["deep/a.jsonl"],
    }.items():
        corpus = Corpus([spec])
        assert [file["name"] for file in corpus.fingerprint()["files"]] == names, spec
        assert corpus.count() == len(list(corpus)) == 5 * len(names)
    samples = [entry.prompt for entry in Corpus(["mine=memory://pool/c.parquet"])]
    assert samples == [row["question"] for row in ROWS]
    assert {s.source for s in Corpus(["mine=memory://pool/c.parquet"])} == {"mine"}
    assert {s.source for s in Corpus(["memory://pool/b.jsonl.gz"])} == {"b"}


def test_a_copy_is_kept_until_the_file_changes_there(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe("/a.jsonl", LINES)
    assert Corpus(["memory://a.jsonl"]).count() == 5
    opened: list[str] = []
    whole = type(memory).open

    def counted(self: Any, path: str, *args: Any, **options: Any) -> Any:
        opened.append(path)
        return whole(self, path, *args, **options)

    monkeypatch.setattr(type(memory), "open", counted)
    assert Corpus(["memory://a.jsonl"]).count() == 5 and not opened
    memory.pipe("/a.jsonl", LINES + b"\n" + LINES)
    opened.clear()
    assert Corpus(["memory://a.jsonl"]).count() == 10 and len(opened) == 1


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("memory://nowhere.jsonl", "there is nothing at memory://nowhere.jsonl"),
        ("memory://odd.txt", "memory://odd.txt is of no format"),
        ("memory://empty", "there is nothing at|holds no file"),
        ("memory://*.csv", "holds no file of a known format"),
        ("nosuchkind://x/a.jsonl", "cannot read nosuchkind://x/a.jsonl: Protocol not known"),
        ("zip://a.jsonl::memory://a.zip", "addresses inside addresses are not read"),
    ],
)
def test_addresses_that_cannot_be_read_are_one_line(
    memory: Any, address: str, message: str
) -> None:
    memory.pipe("/odd.txt", b"text")
    with pytest.raises(UserError, match=message) as caught:
        Corpus([address]).count()
    assert "\n" not in str(caught.value)


def test_a_message_about_a_copy_names_the_address(memory: Any) -> None:
    memory.pipe("/bad.jsonl.gz", b"no gzip")
    with pytest.raises(UserError, match="^memory://bad.jsonl.gz is no whole gzip file"):
        Corpus(["memory://bad.jsonl.gz"])


def test_no_room_for_a_copy_is_said(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/a.jsonl", LINES)
    monkeypatch.setattr(remote.shutil, "disk_usage", lambda _: type("Use", (), {"free": 3})())
    with pytest.raises(UserError, match="takes 0.0 GiB, and 0.0 GiB are free"):
        Corpus(["memory://a.jsonl"])


def test_a_backend_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(UserError, match="cannot read s3://b/a.jsonl: Install s3fs"):
        Corpus(["s3://b/a.jsonl"])


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, bytes]]]:
    """A server on loopback, and what lies at its paths."""
    monkeypatch.setenv("CIRCUITSEER_HOME", str(tmp_path / "home"))
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Nothing on the terminal."""

        def do_GET(self) -> None:
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.send_header("ETag", f'"{hash(content)}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        do_HEAD = do_GET

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", files
        server.shutdown()


def test_web_addresses(web: tuple[str, dict[str, bytes]]) -> None:
    address, files = web
    files["/pool/a.jsonl"] = LINES
    files["/b.jsonl.gz?sig=x"] = bytes(pa.compress(LINES, codec="gzip", asbytes=True))
    assert Corpus([f"{address}/pool/a.jsonl"]).count() == 5
    assert {s.source for s in Corpus([f"mine={address}/b.jsonl.gz?sig=x"])} == {"mine"}
    files["/pool/a.jsonl"] = LINES + b"\n" + LINES
    assert Corpus([f"{address}/pool/a.jsonl"]).count() == 10, "it has another ETag now"
    with pytest.raises(UserError, match=f"there is nothing at {address}/none.jsonl"):
        Corpus([f"{address}/none.jsonl"])


def test_what_web_addresses_need_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        installation, "find_spec", lambda name: None if name == "aiohttp" else object()
    )
    needs = r"^https://h/a.jsonl needs aiohttp, which the extra 'remote' brings: pip install "
    with pytest.raises(UserError, match=needs):
        Corpus(["https://me:secret@h/a.jsonl?sig=1"])


def test_secrets_in_an_address_are_in_no_message() -> None:
    assert without_query("https://me:secret@host/a.jsonl?sig=abc") == "https://host/a.jsonl"


@pytest.mark.parametrize(
    ("spec", "remote"),
    [
        ("a.jsonl", False), ("demo", False), ("x=a.jsonl", False), ("file:///a.jsonl", False),
        ("hf:a/b", True), ("x=hf-stream:a/b", True), ("s3://b/a.jsonl", True),
        ("x=https://h/a.jsonl?y=1", True), ("C:\\data\\a.jsonl", False),
    ],
)  # fmt: skip
def test_what_may_need_the_network(spec: str, remote: bool) -> None:
    assert is_remote(spec) is remote


def test_file_addresses_are_paths(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES)
    assert Corpus([f"file://{tmp_path}/a.jsonl"]).count() == 5


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "hub"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS * 300), folder / "train.parquet")
    pq.write_table(pa.Table.from_pylist(ROWS[:2]), folder / "test.parquet")
    return folder


def test_a_stream_gives_the_same_samples_and_keeps_nothing(hub: Path, tmp_path: Path) -> None:
    streamed = Corpus([f"sums=hf-stream:{hub}:train"])
    kept = Corpus([f"sums=hf:{hub}:train"])
    assert streamed.count() == 1500
    assert list(streamed) == list(streamed)
    assert not list((tmp_path / "cache").rglob("*.arrow"))
    assert list(streamed) == list(kept)
    (file,) = streamed.fingerprint()["files"]
    assert (file["split"], file["rows"], file["revision"]) == ("train", 1500, None)
    assert Corpus([f"hf-stream:{hub}:default:test"]).count() == 2
    before = streamed.fingerprint()["sha256"]
    assert Corpus([f"sums=hf-stream:{hub}:train"]).fingerprint()["sha256"] == before
    with pytest.raises(UserError, match="has the splits .*: name one"):
        Corpus([f"hf-stream:{hub}:dev"]).count()
    with pytest.raises(UserError, match="cannot load hf-stream:"):
        Corpus([f"hf-stream:{hub}:default:dev"]).count()


def test_a_card_that_is_out_of_date_ends_no_stream(hub: Path) -> None:
    """What a dataset's card says of its rows is told as a number, not held against the rows."""
    datasets = pytest.importorskip("datasets")
    card = {"splits": [{"name": "train", "num_examples": 1499, "num_bytes": 1}]}
    (hub / "README.md").write_text("---\n" + yaml.safe_dump({"dataset_info": card}) + "---\n")
    (hub / "test.parquet").unlink()
    assert datasets.load_dataset_builder(str(hub)).info.splits["train"].num_examples == 1499
    streamed = Corpus([f"sums=hf-stream:{hub}:train"])
    assert streamed.count() == 1499
    assert sum(1 for _ in streamed) == 1500


def test_a_revision_reaches_every_call(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    asked: list[tuple[str, str, Any]] = []
    names = ("get_dataset_config_names", "get_dataset_split_names", "load_dataset")
    for name in (*names, "load_dataset_builder"):
        true = getattr(datasets, name)

        def local(dataset: str, *args: Any, _true: Any = true, _name: str = name, **o: Any) -> Any:
            asked.append((_name, dataset, o.pop("revision")))
            return _true(str(hub), *args, **o)

        monkeypatch.setattr(datasets, name, local)
    assert Corpus(["hf:me/sums@v1.2:train"]).count() == 1500
    assert [(name, "me/sums", "v1.2") for name in names] == asked
    asked.clear()
    assert Corpus(["hf-stream:me/sums@abc:default:test"]).count() == 2
    assert asked == [("load_dataset_builder", "me/sums", "abc")]


@pytest.mark.parametrize("spec", ["hf:@v1", "hf:a@", "hf-stream:", "hf-stream:a:b:c:d"])
def test_malformed_hub_specs(spec: str) -> None:
    with pytest.raises(UserError, match=r"is not of the form hf.*:dataset\[@revision\]"):
        Corpus([spec])
