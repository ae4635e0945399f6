"""A DATA spec in, its tables out: demo, the Hub, a file, a folder, a pattern, an address."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from circuitseer_core.data.arrow_formats import ArrowIpc, Parquet
from circuitseer_core.data.compression import CODECS, bare
from circuitseer_core.data.formats import Csv, FileTable, JsonArray, JsonLines, Table, named_split
from circuitseer_core.data.remote import fetched, is_address, without_query
from circuitseer_core.errors import UserError
from circuitseer_core.files import user_path
from circuitseer_core.json_io import is_utf8, read_json

DATA_SPEC = (
    "A file (.jsonl .json .csv .tsv .parquet .arrow .feather; text also .gz .zst), a "
    "folder[:split], a pattern with *, an address (s3://…), hf:dataset@revision:config:split (all "
    "but the dataset may be left out; hf-stream: reads without downloading), or demo; name= before "
    "it names the source. Several may be given."
)
"""What a DATA spec may be, in a line of help."""

_NAMED = re.compile(r"([^=/\\:]+)=(.+)", re.DOTALL)


def open_spec(spec: str) -> list[Table]:
    """The tables of one DATA spec."""
    name, place = source_and_place(spec)
    if place == "demo":
        from circuitseer_core.data.demo import DemoTable

        return [DemoTable(name)]
    if place.startswith(_HUB):
        from circuitseer_core.data.hub import HubTable

        return [HubTable(place, name)]
    if is_address(place):
        return [
            _table(
                _kind(copy.path, copy.shown),
                copy.path,
                copy.name,
                name or _stem(copy.path),
                copy.shown,
            )
            for copy in fetched(place, _is_known)
        ]
    path, split = _local(place)
    if not os.path.exists(path) and glob.has_magic(place):
        return _open_pattern(path, name)
    return open_path(path, name, split)


_HUB = ("hf:", "hf-stream:")


def is_hub(spec: str) -> bool:
    """Whether a DATA spec is of the Hub."""
    return source_and_place(spec)[1].startswith(_HUB)


def is_remote(spec: str) -> bool:
    """Whether reading a DATA spec may need the network: the Hub or an address."""
    return is_hub(spec) or is_address(source_and_place(spec)[1])


def is_data(text: str) -> bool:
    """Whether a text that may also be a name (an id) is a DATA spec: of the Hub, an address of a
    file that is read here, or of something that is there."""
    place = source_and_place(text)[1]
    if is_remote(text):
        return is_hub(text) or _is_known(without_query(place))
    path = _local(place)[0]
    return os.path.exists(path) or (
        glob.has_magic(place) and _is_known(place) and bool(glob.glob(str(path), recursive=True))
    )


def local_paths(spec: str) -> list[Path]:
    """What of this machine a DATA spec names: a file, a folder, the files of a pattern."""
    place = source_and_place(spec)[1]
    if is_remote(spec) or not place:
        return []
    path = _local(place)[0]
    if os.path.exists(path) or not glob.has_magic(place):
        return [path] if os.path.exists(path) else []
    return [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]


def file_of(spec: str) -> Path | None:
    """The file that a DATA spec is, on this machine; None for all else."""
    path = None if is_remote(spec) else _local(source_and_place(spec)[1])[0]
    return path if path is not None and os.path.isfile(path) else None


def short_name(spec: str) -> str:
    """A DATA spec for others to read: the Hub's name, or a file's without the folders it is in."""
    place = source_and_place(spec)[1]
    return place if is_hub(spec) else Path(without_query(place)).name


def _local(place: str) -> tuple[Path, str | None]:
    """The path, and the split where one is named."""
    place = place.removeprefix("file://")
    path = user_path(place)
    if not os.path.exists(path) and ":" in place:
        whole, _, split = place.rpartition(":")
        if os.path.exists(user_path(whole)):
            return user_path(whole), split
    return path, None


def source_and_place(spec: str) -> tuple[str | None, str]:
    """The name of the source, where a DATA spec gives one, and the place."""
    named = None if os.path.exists(user_path(spec)) or is_address(spec) else _NAMED.fullmatch(spec)
    return (named[1].strip(), named[2]) if named else (None, spec)


# What is no name of a source: a bare shard number, or one at the end of a stem.
_SHARD = re.compile(r"^(part[-_.]?)?\d+$|[-_.]\d{4,}[-_]of[-_]\d{4,}$")

FORMATS: dict[str, type[FileTable]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".json": JsonArray,
    ".csv": Csv,
    ".tsv": Csv,
    ".parquet": Parquet,
    ".arrow": ArrowIpc,
    ".feather": ArrowIpc,
}


def format_of(path: Path) -> type[FileTable] | None:
    """The format that a file's ending names, the ending of a codec aside; None where none."""
    return FORMATS.get(bare(path).suffix.lower())


def _kind(path: Path, shown: str) -> type[FileTable]:
    kind = format_of(path)
    if kind is None:
        known = ", ".join(FORMATS)
        raise UserError(
            f"{shown} is of no format that is read here (those are {known}; text also with "
            f"{' or '.join(CODECS)})"
        )
    return kind


def _is_known(name: str) -> bool:
    return format_of(Path(name)) is not None


def open_path(path: Path, source: str | None, split: str | None = None) -> list[Table]:
    """Every table under a file or a folder, in name order.

    A folder is either what ``datasets.save_to_disk`` wrote or a tree of files of the known
    formats, in which hidden files and other formats are passed over. Without ``source`` a file's
    source is its stem, less a shard number; a saved dataset's is its folder's name. Of several
    splits (a saved dataset's, or lists in a .json file) one has to be named, as ``path:split``.

    Raises UserError: missing, of an unknown format, unreadable, a folder with nothing to read, or a
    split that is missing or not named.
    """
    if os.path.isdir(path):
        return _open_folder(path, source, split)
    if not os.path.exists(path):
        raise UserError(f"no such file or folder: {path}")
    table = _table(_kind(path, str(path)), path, path.name, source or _stem(path))
    if split is not None:
        if not isinstance(table, JsonArray):
            raise UserError(f"{path} has no splits, so none can be named ({split})")
        table.split = split
        table.name = f"{path.name}:{split}"
    return [table]


def _open_folder(folder: Path, source: str | None, split: str | None) -> list[Table]:
    name = source or folder.resolve().name
    if (folder / "dataset_dict.json").is_file():
        listed = read_json(folder / "dataset_dict.json").get("splits")
        splits = _inside(folder / "dataset_dict.json", listed)
        return _saved(folder / named_split(folder, splits, split), folder, name)
    if split is not None:
        raise UserError(f"{folder} has no splits, so none can be named ({split})")
    if (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file():
        return _saved(folder, folder, name)
    files = _readable(files_below(folder), folder)
    if not files:
        raise UserError(f"{folder} holds no file of a known format ({', '.join(FORMATS)})")
    return _tables(files, folder, source)


def _open_pattern(pattern: Path, source: str | None) -> list[Table]:
    """The files of a known format that match ``*``, ``?``, ``[…]`` or ``**``, in name order."""
    wild = next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))
    root = Path(*pattern.parts[:wild])
    matches = [Path(match) for match in glob.glob(str(pattern), recursive=True)]
    files = _readable(matches, root)
    if not files:
        what = "matches nothing" if not matches else "matches no file of a known format"
        raise UserError(
            f"{pattern} {what} ({', '.join(FORMATS)})" if matches else f"{pattern} {what}"
        )
    return _tables(files, root, source)


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder; what goes while it is listed is passed over.

    Raises UserError where a folder cannot be listed: its files would be missing in silence.
    """

    def refuse(error: OSError) -> None:
        if isinstance(error, PermissionError):
            raise UserError(f"{error.filename} cannot be listed: {error.strerror}") from error

    for place, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(place, name) for name in names)


def _readable(paths: Iterable[Path], root: Path) -> list[Path]:
    """Of these paths below ``root`` the files that are read, in name order; hidden ones are not."""
    return [
        path
        for path in sorted(paths)
        if format_of(path) is not None
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]


def _tables(files: Sequence[Path], root: Path, source: str | None) -> list[Table]:
    return [
        _table(
            _kind(path, str(path)), path, path.relative_to(root).as_posix(), source or _stem(path)
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
        _table(ArrowIpc, folder / file, f"{root.name}/{(folder / file).relative_to(root)}", source)
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


def _table(
    kind: type[FileTable], path: Path, name: str, source: str, shown: str | None = None
) -> Table:
    if not is_utf8(str(path)):  # it could be kept in no record, and so not be found again
        raise UserError(f"{ascii(str(path))[1:-1]}: this name is not UTF-8; rename it")
    table: Any = kind(path, name, source, shown)  # each concrete format has rows() and count()
    return table


def _stem(path: Path) -> str:
    """``gsm8k.jsonl`` → gsm8k, ``train-00000-of-00002.parquet`` → train, ``0001.csv`` → folder."""
    return _SHARD.sub("", bare(path).stem) or path.resolve().parent.name
