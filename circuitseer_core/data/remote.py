"""Files at an address (``s3://…``, ``https://…``, ``memory://…``), fetched once through fsspec.

A file is copied to the cache folder of this machine and read from there, so that the several passes
over it, Parquet's seeks and all checks are those of a local file. The copy is kept under a hash of
the address and of what the place says of its content (size, time, ETag): a file that changes there
is fetched again. Nothing is fetched but what a DATA spec names.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from circuitseer_core.data.uploads import file_name
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.files import atomic_path, cache_home, sweep_beside
from circuitseer_core.hashing import short_hash
from circuitseer_core.installation import require_extra

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # one letter alone is a drive
_WEB = ("http://", "https://")
_MAGIC = re.compile(r"[*?\[]")
_MARKS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created", "md5")
"""What file systems call the things that change with a file's content."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A copy on this machine; ``name`` is relative to what was asked for."""

    path: Path
    name: str
    shown: str


def is_address(place: str) -> bool:
    """Whether a place is an address rather than a path."""
    return _ADDRESS.match(place) is not None and not place.startswith("file://")


def without_query(address: str) -> str:
    """An address as messages show it: no query (signatures), no user name or password."""
    bare = address.split("?", 1)[0] if not _is_glob(address) else address
    return re.sub(r"://[^/@]*@", "://", bare)


def fetched(address: str, wanted: Callable[[str], bool]) -> list[Fetched]:
    """The file at an address, or the ``wanted`` ones of a folder or of a glob, in name order.

    Raises UserError: fsspec or what it needs for this kind of address is not installed, nothing is
    there, it cannot be reached, or there is no room for it.
    """
    needed = ("fsspec", "aiohttp") if address.startswith(_WEB) else ("fsspec",)
    require_extra("remote", without_query(address), *needed)
    if "::" in address:
        raise UserError(f"{without_query(address)}: addresses inside addresses are not read")
    with _as_user_errors(address):
        from fsspec.core import url_to_fs

        files, root = url_to_fs(address)
        return [
            Fetched(_copy(files, path, address), name, _shown(address, name))
            for path, name in _named(files, root, address, wanted)
        ]


def _named(
    files: Any, root: str, address: str, wanted: Callable[[str], bool]
) -> list[tuple[str, str]]:
    """(path, name) of every file meant."""
    if _is_glob(address):
        base = _fixed(root)
        paths = [path for path in files.glob(root) if wanted(path) and not files.isdir(path)]
    elif address.startswith("http") or not files.isdir(root):  # a page is no folder
        return [(root, _last(root.split("?", 1)[0]))]
    else:
        base = root.rstrip("/") + "/"
        paths = [path for path in files.find(root) if wanted(path)]
    names = sorted(path[len(base) :] for path in paths if path.startswith(base))
    shown = [name for name in names if not any(part[:1] == "." for part in name.split("/"))]
    if not shown:
        raise UserError(f"{without_query(address)} holds no file of a known format")
    return [(base + name, name) for name in shown]


def _copy(files: Any, path: str, address: str) -> Path:
    """The copy of one file, made where there is none of this content."""
    about = files.info(path)
    marks = {key: str(about[key]) for key in ("size", *_MARKS) if about.get(key) is not None}
    key = short_hash(str(files.protocol), path, json.dumps(marks, sort_keys=True))
    target = cache_home() / "remote" / key / file_name(_last(path).split("?", 1)[0])
    dated = any(mark in marks for mark in _MARKS)
    if dated and target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep_beside(target)  # a download that was killed may be as large as this one
    size, free = about.get("size") or 0, shutil.disk_usage(target.parent).free
    if size > free:
        raise UserError(
            f"{without_query(address)} takes {size / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB "
            f"are free in {target.parent}"
        )
    with files.open(path, "rb") as there, atomic_path(target) as here, here.open("wb") as copy:
        shutil.copyfileobj(there, copy, 1 << 20)
    return target


@contextmanager
def _as_user_errors(address: str) -> Iterator[None]:
    """What a backend raises, in one line; each has exceptions of its own."""
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except FileNotFoundError as error:
        raise UserError(f"there is nothing at {without_query(address)}") from error
    except Exception as error:
        raise UserError(f"cannot read {without_query(address)}: {one_line(error)}") from error


def _is_glob(address: str) -> bool:
    """``?`` is a wildcard except in web addresses, where a query begins."""
    marks = re.compile(r"[*\[]") if address.startswith("http") else _MAGIC
    return marks.search(address) is not None


def _fixed(pattern: str) -> str:
    """The folder above a pattern's first wildcard, with its slash."""
    first = _MAGIC.search(pattern)
    return pattern[: pattern.rfind("/", 0, first.start() if first else None) + 1]


def _last(path: str) -> str:
    return PurePosixPath(path).name


def _shown(address: str, name: str) -> str:
    plain = without_query(address)
    return plain if _last(plain) == name else f"{plain}: {name}"
