"""A DATA spec in, its tables out: demo, a Hub dataset, a file, a folder, a saved dataset."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from circuitseer_core.data.arrow_formats import ArrowStream, Parquet
from circuitseer_core.data.formats import Csv, FileTable, JsonArray, JsonLines, Table
from circuitseer_core.errors import UserError
from circuitseer_core.json_io import read_json

DATA_SPEC = (
    "file.jsonl|.json|.csv|.parquet|folder, hf:dataset[:config][:split], or demo; name= before it "
    "names the source. Several may be given."
)
"""What a DATA spec may be, in a line of help."""

_NAMED = re.compile(r"([^=/\\:]+)=(.+)", re.DOTALL)


def open_spec(spec: str) -> list[Table]:
    """The tables of one DATA spec."""
    named = None if os.path.exists(user_path(spec)) else _NAMED.fullmatch(spec)
    name, place = (named[1].strip(), named[2]) if named else (None, spec)
    if place == "demo":
        from circuitseer_core.data.demo import DemoTable

        return [DemoTable(name)]
    if place.startswith("hf:"):
        from circuitseer_core.data.hub import HubTable

        return [HubTable(place.removeprefix("hf:"), name)]
    return open_path(user_path(place), name)


def user_path(text: str) -> Path:
    """A path as a person types it, ``~`` spelled out; one of an unknown user stays as it is."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


# What is no name of a source: a bare shard number, or one at the end of a stem.
_SHARD = re.compile(r"^(part[-_.]?)?\d+$|[-_.]\d{4,}[-_]of[-_]\d{4,}$")

FORMATS: dict[str, type[FileTable]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".json": JsonArray,
    ".csv": Csv,
    ".tsv": Csv,
    ".parquet": Parquet,
}


def open_path(path: Path, source: str | None) -> list[Table]:
    """Every table under a file or a folder, in name order.

    A folder is either what ``datasets.save_to_disk`` wrote or a tree of files of the known
    formats, in which hidden files and other formats are passed over. Without ``source`` a file's
    source is its stem, less a shard number; a saved dataset's is its folder's name.

    Raises UserError: missing, of an unknown format, unreadable, or a folder with nothing to read.
    """
    if os.path.isdir(path):
        return _open_folder(path, source)
    if not os.path.exists(path):
        raise UserError(f"no such file or folder: {path}")
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(FORMATS)
        raise UserError(f"{path} is of no format that is read here (those are {known})")
    return [_table(kind, path, path.name, source or _stem(path))]


def _open_folder(folder: Path, source: str | None) -> list[Table]:
    name = source or folder.resolve().name
    if (folder / "dataset_dict.json").is_file():
        listed = read_json(folder / "dataset_dict.json").get("splits")
        splits = _inside(folder / "dataset_dict.json", listed)
        return [table for split in splits for table in _saved(folder / split, folder, name)]
    if (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file():
        return _saved(folder, folder, name)
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in FORMATS
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files:
        raise UserError(f"{folder} holds no file of a known format ({', '.join(FORMATS)})")
    return [
        _table(
            FORMATS[path.suffix.lower()],
            path,
            path.relative_to(folder).as_posix(),
            source or _stem(path),
        )
        for path in files
    ]


def _saved(folder: Path, root: Path, source: str) -> list[Table]:
    """The shards of one split saved by ``datasets.save_to_disk``."""
    state = read_json(folder / "state.json").get("_data_files")
    try:
        listed = [entry["filename"] for entry in state or ()]
    except (KeyError, TypeError) as error:
        raise UserError(f"{folder} is not a readable saved dataset (state.json)") from error
    files = _inside(folder / "state.json", listed)
    return [
        _table(
            ArrowStream, folder / file, f"{root.name}/{(folder / file).relative_to(root)}", source
        )
        for file in files
    ]


def _inside(where: Path, names: Any) -> list[str]:
    """Names that a saved dataset lists. UserError for what is no plain name in its folder."""
    if not isinstance(names, list) or not names:
        raise UserError(f"{where.parent} is not a readable saved dataset ({where.name})")
    for name in names:
        if not isinstance(name, str) or name != Path(name).name or name in ("", ".", ".."):
            raise UserError(f"{where} names {name!r}, which is no file in its folder: refused")
    return names


def _table(kind: type[FileTable], path: Path, name: str, source: str) -> Table:
    table: Any = kind(path, name, source)  # each concrete format has rows() and count()
    return table


def _stem(path: Path) -> str:
    """``gsm8k.jsonl`` → gsm8k, ``train-00000-of-00002.parquet`` → train, ``0001.csv`` → folder."""
    return _SHARD.sub("", path.stem) or path.resolve().parent.name
