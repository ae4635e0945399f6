"""Files are whole or absent."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from circuitseer_core import files
from circuitseer_core.data.uploads import store
from circuitseer_core.errors import UserError
from circuitseer_core.files import (
    atomic_path,
    read_table_rows,
    replace_folder,
    sweep,
    sweep_beside,
    write_json,
)
from circuitseer_core.model.weights_hash import weights_hash
from circuitseer_core.report.report import report
from circuitseer_core.runs.folder import DEMO_RUN, Run
from circuitseer_core.sharing.pull import _put

DEAD = subprocess.Popen([sys.executable, "-c", ""])
DEAD.wait()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    write_json(target, {"a": 1})
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == '{\n  "a": 1\n}\n' and len(list(tmp_path.iterdir())) == 1


def _folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "a").write_text(text)
    return path


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    target = _folder(tmp_path / "target", "old")
    replace_folder(_folder(tmp_path / ".new", "new"), target)
    assert (target / "a").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["target"]
    replace_folder(_folder(tmp_path / ".first", "first"), tmp_path / "fresh")
    assert (tmp_path / "fresh" / "a").read_text() == "first"


@pytest.mark.parametrize("exchange", [True, False])
def test_killed_anywhere_in_a_replacement_one_of_the_two_stands_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    """Die before each call that changes the disk, in turn."""
    if not exchange:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    real = {"rename": os.rename, "rmtree": shutil.rmtree, "exchange": files._exchange}
    rounds = 0
    for stop in range(6):
        home = tmp_path / str(stop)
        home.mkdir()
        target = _folder(home / "target", "old")
        new = _folder(home / f".target.{DEAD.pid}.tmp", "new")
        calls = 0

        def dying(name: str, *args: Any, last: int = stop, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > last:
                raise KeyboardInterrupt
            return real[name](*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", partial(dying, "rename"))
            patch.setattr(shutil, "rmtree", partial(dying, "rmtree"))
            patch.setattr(files, "_exchange", partial(dying, "exchange"))
            patch.setattr(os, "getpid", lambda: DEAD.pid)
            with contextlib.suppress(KeyboardInterrupt):
                replace_folder(new, target)
        assert target.exists() or not exchange
        sweep(home)
        assert (target / "a").read_text() in {"old", "new"}
        assert [p.name for p in home.iterdir()] == ["target"]
        rounds += 1
    assert rounds == 6


def test_rows_come_in_order_with_room_for_any_text(tmp_path: Path) -> None:
    """Offsets of 64 bits: those of a string column end at 2 GiB, and taking rows fails there."""
    paths = []
    for number in range(2):
        path = tmp_path / f"{number}.parquet"
        pd.DataFrame({"id": [f"{number}/{i}" for i in range(5)], "n": range(5)}).to_parquet(path)
        paths.append(path)
    table = read_table_rows(paths, np.array([7, 0, 9, 1]), ["id", "n"])
    assert table["id"].to_pylist() == ["1/2", "0/0", "1/4", "0/1"]
    assert table["n"].to_pylist() == [2, 0, 4, 1]
    assert table.schema.field("id").type == pa.large_string()
    assert table.to_pandas()["id"].tolist() == ["1/2", "0/0", "1/4", "0/1"]


def test_sweeping_leaves_what_is_being_written(tmp_path: Path) -> None:
    own_draft = tmp_path / f".mine.{os.getpid()}.tmp"
    gone = tmp_path / "in" / f".gone.{DEAD.pid}.tmp"
    gone.parent.mkdir()
    for path in (own_draft, gone, tmp_path / ".hidden", tmp_path / ".review.tmp"):
        path.write_text("x")
    assert sweep(tmp_path) == []
    assert sweep(tmp_path, inside=True) == [gone.name]
    assert own_draft.exists() and not gone.exists() and (tmp_path / ".hidden").exists()
    os.utime(own_draft, (1, 1))  # of an earlier process that had this pid
    assert sweep(tmp_path) == [own_draft.name]


def test_only_the_own_name_is_swept_in_a_folder_of_the_user(tmp_path: Path) -> None:
    """Dated copies and drafts of other programs are named as ours are."""
    target = tmp_path / "train.jsonl"
    strangers = [
        f".other.jsonl.{DEAD.pid}.tmp", ".bashrc.20240101.old", ".mail.20240101.tmp",
        ".train.jsonl.20240101.old", ".train.jsonl.0.tmp", ".train.jsonl.1e3.tmp",
        f".train.jsonl.{os.getpid()}.tmp", ".train.jsonl.tmp", f".train.{DEAD.pid}.old",
    ]  # fmt: skip
    for name in strangers:
        _folder(tmp_path / name, "theirs")
    ours = [f".train.jsonl.{DEAD.pid}.tmp", f".train.jsonl.{DEAD.pid}.old"]
    (tmp_path / ours[0]).write_text("half")
    _folder(tmp_path / ours[1], "the last one")
    assert sweep_beside(target) == sorted(ours)
    assert (target / "a").read_text() == "the last one", "put back"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*strangers, target.name])
    assert sweep_beside(tmp_path / "missing" / "x") == []


@pytest.mark.parametrize("written", ["upload", "weights", "report", "map"])
def test_what_a_killed_writer_left_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setenv("CIRCUITSEER_HOME", str(tmp_path / "cache"))
    (_folder(tmp_path / "model", "x") / "model.safetensors").write_bytes(b"x")
    writers: dict[str, Callable[[], object]] = {
        "upload": lambda: store(tmp_path, "a.csv", b"one"),
        "weights": lambda: weights_hash(tmp_path / "model"),
        "report": lambda: report(Run.open(DEMO_RUN), tmp_path / "report.html"),
        "map": lambda: _put(tmp_path / "model", tmp_path / "map"),
    }
    before = set(tmp_path.rglob("*"))
    writers[written]()
    names = {"upload": "a.csv", "weights": "weights.json", "report": "report.html", "map": "map"}
    made = next(p for p in set(tmp_path.rglob("*")) - before if p.name == names[written])
    leftover = made.with_name(f".{made.name}.{DEAD.pid}.tmp")
    leftover.write_text("half")
    if made.is_file():
        made.unlink()
    else:
        shutil.rmtree(made)
    writers[written]()
    assert made.exists() and not leftover.exists()


def test_a_file_takes_no_place_of_a_pipe(tmp_path: Path) -> None:
    """As root, a file written to /dev/null would be all that is left of it."""
    os.mkfifo(tmp_path / "pipe")
    new = _folder(tmp_path / "new", "a")
    with pytest.raises(UserError, match="pipe is a device or a pipe: name a file"):
        write_json(tmp_path / "pipe", {})
    with pytest.raises(UserError, match="is a device or a pipe"):
        replace_folder(new, tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo() and len(list(tmp_path.iterdir())) == 2


def test_json_holds_what_utf8_cannot(tmp_path: Path) -> None:
    value = {"\ud800": ["\udfff ✓", "\\ud800"]}
    write_json(tmp_path / "x.json", value)
    assert json.loads((tmp_path / "x.json").read_bytes()) == value
