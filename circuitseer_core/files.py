"""Files that are either whole or absent (written aside, then renamed), and where caches live."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from circuitseer_core.aliases import Ints
from circuitseer_core.checksums import write_table
from circuitseer_core.errors import UserError


def cache_home() -> Path:
    """What is made once a machine: ``$CIRCUITSEER_HOME``, else ``~/.cache/circuitseer``."""
    return Path(os.environ.get("CIRCUITSEER_HOME", Path.home() / ".cache" / "circuitseer"))


def user_path(text: str) -> Path:
    """A path as a person types it, ``~`` spelled out; one of an unknown user stays as it is."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def plain_path(path: str | Path) -> Path:
    """A path as it is; where Arrow would take a relative one for an address, the absolute one."""
    path = Path(path)
    return path.absolute() if ":" in str(path) else path


def inside(folder: Path, name: str) -> Path:
    """What is called ``name`` in ``folder``. Raises UserError for a name that leads elsewhere: it
    may come from a record, or a job, that somebody else wrote."""
    if name != Path(name).name or name in ("", "..") or "\0" in name:
        raise UserError(f"{name!r} is no name of what lies in {folder}")
    return folder / name


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path in ``target``'s folder; it replaces ``target`` if the block succeeds.

    The rename is atomic on one file system, so a reader or a killed writer never sees half a file.
    Raises UserError where ``target`` is a device or a pipe, whose place no file may take.
    """
    _refuse_special(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _refuse_special(target: Path) -> None:
    """Raise UserError for what is neither file nor folder nor absent."""
    try:
        mode = target.stat().st_mode
    except OSError:  # not there, or not to be reached: the writing says why
        return
    if not (S_ISREG(mode) or S_ISDIR(mode)):
        raise UserError(f"{target} is a device or a pipe: name a file to be written")


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Write JSON (indented, UTF-8) atomically; half a surrogate pair, which data may hold, as its
    escape."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    with atomic_path(target) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


def write_parquet(target: Path, frame: pd.DataFrame) -> None:
    """Write a frame as Parquet (zstd) atomically, with its checksum."""
    with atomic_path(target) as temporary:
        write_table(temporary, pa.Table.from_pandas(frame, preserve_index=False))


def parquet_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """Parquet files, folders standing for those in them. Raises UserError where there is none.

    Of a folder of numbered parts (a scoring's) the parts alone: what lies beside them is no data.
    """
    several = [paths] if isinstance(paths, str | Path) else list(paths)
    files: list[Path] = []
    for path in map(Path, several):
        inside = [path]
        if path.is_dir():
            inside = sorted(path.glob("part-*.parquet")) or sorted(path.glob("*.parquet"))
        if not inside or not all(file.is_file() for file in inside):
            raise UserError(f"no Parquet file at {path}")
        files += inside
    return files


def read_columns(files: Sequence[Path], columns: list[str]) -> pd.DataFrame:
    """Some columns of several Parquet files, one after the other.

    Raises UserError where a file cannot be read or lacks one of them.
    """
    frames = []
    for file in files:
        try:
            frames.append(pd.read_parquet(file, columns=columns))
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{file} cannot be read: {error}") from error
    return pd.concat(frames, ignore_index=True)


def read_table_rows(files: Sequence[Path], rows: Ints, columns: list[str] | None) -> pa.Table:
    """Rows, numbered through all ``files``, in the given order; other row groups are not read.

    Texts come as ``large_string``: those of many rows are more than the 2 GiB of a ``string``.
    """
    ordered = np.sort(rows)
    start = 0
    parts = []
    for file in files:
        with pq.ParquetFile(file) as parquet:
            for group in range(parquet.num_row_groups):
                stop = start + parquet.metadata.row_group(group).num_rows
                low, high = np.searchsorted(ordered, [start, stop])
                if high > low:
                    table = parquet.read_row_group(group, columns=columns)
                    parts.append(table.take(ordered[low:high] - start))
                start = stop
    back = np.empty(len(rows), dtype=np.int64)
    back[np.argsort(rows, kind="stable")] = np.arange(len(rows))
    together = pa.concat_tables(parts, promote_options="permissive")
    parts.clear()
    taken = {}
    for name in together.column_names:  # one by one, so that no more than a column is held twice
        column = together[name]
        together = together.drop_columns([name])
        taken[name] = _roomy(column).take(pa.array(back))
    return pa.table(taken).replace_schema_metadata(together.schema.metadata)


def _roomy(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of texts with 64-bit offsets; any other as it is."""
    return column.cast(pa.large_string()) if pa.types.is_string(column.type) else column


def replace_folder(new: Path, target: Path) -> None:
    """Put a finished folder in the place of another on the same file system.

    Where the system can exchange two names (Linux, macOS) one of the two folders stands at
    ``target`` at every moment. Elsewhere the old one is renamed away for an instant, and
    :func:`sweep` puts it back if the process is killed in it. Raises UserError as
    :func:`atomic_path`.
    """
    _refuse_special(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not _exchange(new, target):
        old = target.with_name(f".{target.name}.{os.getpid()}.old")
        os.rename(target, old)
        os.rename(new, target)
        new = old
    elif new.exists() and not target.exists():
        os.rename(new, target)
        return
    shutil.rmtree(new, ignore_errors=True)  # by now it is the old one


@contextmanager
def folder_anew(target: Path, aside: Path) -> Iterator[Path]:
    """Yield ``aside``, a copy of the folder ``target`` that takes its place if the block succeeds.

    A reader sees all of the old files or all of the new ones, and so does whoever comes after a
    kill. Files of the copy are links to the old ones where the file system has links: they may be
    replaced or removed, not written into.
    """
    shutil.rmtree(aside, ignore_errors=True)
    try:
        shutil.copytree(target, aside, copy_function=_linked)
        yield aside
        replace_folder(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _linked(file: str, place: str) -> str:
    try:
        os.link(file, place)
    except OSError:
        shutil.copy2(file, place)
    return place


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where this system or file system cannot."""
    names = os.fsencode(one), os.fsencode(other)
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "renameat2"):
        here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        return bool(libc.renameat2(here, names[0], here, names[1], exchange) == 0)
    if hasattr(libc, "renamex_np"):
        return bool(libc.renamex_np(*names, 2) == 0)  # RENAME_SWAP
    return False


_ASIDE = re.compile(r"\.(?P<name>.+)\.(?P<pid>[1-9]\d{0,9})\.(?P<kind>tmp|old)", re.DOTALL)


def sweep(folder: Path, *, inside: bool = False) -> list[str]:
    """Clear away what killed writers left in ``folder``, which is a run; with ``inside`` also in
    its folders.

    A folder that was renamed away and whose successor never came is put back. What a process that
    is still alive is writing stays. Returns the names that were cleared or put back. In a folder
    that may hold other people's files :func:`sweep_beside` is the one to call.
    """
    hidden = sorted(folder.rglob(".*") if inside else folder.glob(".*"))
    return [path.name for path in hidden if _cleared(path)]


def sweep_beside(*targets: Path) -> list[str]:
    """As :func:`sweep`, of what killed writers of ``targets`` alone left beside them.

    Their folder is the user's own: a file of another name, or of a number that no process can
    have, is not ours to touch.
    """
    swept = []
    for target in targets:
        try:
            beside = sorted(target.parent.iterdir())
        except OSError:  # not there, or not to be read: the writing says why
            continue
        for path in beside:
            aside = _ASIDE.fullmatch(path.name)
            if aside is None or aside["name"] != target.name:
                continue
            if int(aside["pid"]) <= _most_processes() and _cleared(path):
                swept.append(path.name)
    return swept


def _cleared(path: Path) -> bool:
    """Clear one leftover away, or put it back; False where it is none."""
    aside = _ASIDE.fullmatch(path.name)
    if aside is None:
        return False
    if path.is_symlink() or not path.exists() or _at_work(path, aside):
        return False
    home = path.with_name(aside["name"])
    if aside["kind"] == "old" and not home.exists():
        os.rename(path, home)
    elif path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return True


@cache
def _most_processes() -> int:
    """The largest number that a process of this system can have."""
    try:
        return int(Path("/proc/sys/kernel/pid_max").read_text())
    except (OSError, ValueError):  # macOS counts to 99,998
        return 99_998


def _at_work(path: Path, aside: re.Match[str]) -> bool:
    """Whether the process that a leftover is named after lives, and is no later namesake."""
    try:
        return psutil.Process(int(aside["pid"])).create_time() <= path.stat().st_mtime + 1
    except (psutil.Error, OSError, OverflowError, ValueError):
        return False


def stamp(files: Sequence[Path]) -> tuple[tuple[str, int, int], ...]:
    """What changes when files do: name, bytes and modification time of each.

    Raises UserError for one that is not there.
    """
    try:
        return tuple((f.name, s.st_size, s.st_mtime_ns) for f in files for s in [f.stat()])
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error


_DEEPEST = 50
"""Folders in folders of a run, which has four: beyond a thousand whatever walks them gives up."""


def special_file(folder: str | Path) -> str | None:
    """A thing under ``folder`` that is neither file nor folder nor a link to one, or that lies in
    more folders than anything of a run does."""
    left = [(os.fspath(folder), 0)]
    while left:
        place, depth = left.pop()
        if depth > _DEEPEST:
            return place
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        left.append((entry.path, depth + 1))
                    elif _is_special(entry):
                        return entry.path
        except OSError:  # gone since, or not to be read: whoever needs it says so
            continue
    return None


def _is_special(entry: os.DirEntry[str]) -> bool:
    if entry.is_file(follow_symlinks=False):
        return False
    try:
        mode = entry.stat().st_mode
    except OSError:  # gone since, or a link to nothing: nobody can wait for it
        return False
    return not S_ISREG(mode) and not S_ISDIR(mode)
