"""Naming samples: by id, or by text that is the same once case and spacing are set aside.

Texts are compared as 64-bit hashes of their normalised form, so that the prompts of ten million
rows pass through once, as a stream, and leave 8 bytes each.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitseer_core.errors import UserError
from circuitseer_core.fields import Fields, RowProblem, prompt_and_response, recognise

_LINE_FILES = {".txt", ".ids", ".list", ""}
_ROW_FILES = {".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow"}


@dataclass(frozen=True, slots=True)
class NameList:
    """Samples that lists name: ids, hashes of normalised texts, and what each file held."""

    ids: frozenset[str] = frozenset()
    texts: frozenset[int] = frozenset()
    files: tuple[Mapping[str, Any], ...] = ()


def normalise(text: str) -> str:
    """The text in one case, one Unicode form (NFKC) and single spaces."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def text_hash(text: str) -> int:
    """64-bit hash of the normalised text, never 0; 0 stands for no text."""
    data = normalise(text).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") or 1


def prompt_hashes(prompts: Iterable[object]) -> NDArray[np.uint64]:
    """(N,) hashes of normalised prompts; 0 where a prompt is missing or blank."""
    found = (text_hash(p) if isinstance(p, str) and p.strip() else 0 for p in prompts)
    return np.fromiter(found, dtype=np.uint64)


def read_list(entries: Sequence[str]) -> NameList:
    """Read an exclude or include list.

    An entry is a file, a folder of files, or an id. Text files name one id or one text a line
    (each line is tried as both). Data files (JSON Lines, JSON, CSV, Parquet) and ``hf:`` datasets
    name a row by its ``id`` and by its prompt, recognised as in any dataset.

    Raises:
        UserError: a file is missing or unreadable, or has neither ids nor prompts.
    """
    ids: set[str] = set()
    texts: set[int] = set()
    files: list[Mapping[str, Any]] = []
    for entry in entries:
        path = Path(entry).expanduser()
        if not (entry.startswith("hf:") or path.exists()):
            if path.suffix.lower() in _ROW_FILES | {".txt"}:
                raise UserError(f"no such list file: {entry}")
            ids.add(entry)
            continue
        if path.is_file() and path.suffix.lower() in _LINE_FILES:
            new_ids, new_texts = _read_lines(path)
        else:
            new_ids, new_texts = _read_rows(entry, path)
        if not new_ids and not new_texts:
            raise UserError(f"{entry} names no sample: it has neither ids nor prompts")
        ids |= new_ids
        texts |= new_texts
        files.append({"file": entry, "ids": len(new_ids), "texts": len(new_texts)} | _seal(path))
    return NameList(frozenset(ids), frozenset(texts), tuple(files))


def _read_lines(path: Path) -> tuple[set[str], set[int]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as a list: {error}") from error
    lines = {line.strip() for line in text.splitlines()} - {""}
    return lines, {text_hash(line) for line in lines}


def _read_rows(entry: str, path: Path) -> tuple[set[str], set[int]]:
    from circuitseer_core.hub import HubTable
    from circuitseer_core.locate import open_path

    is_hub = entry.startswith("hf:")
    tables = [HubTable(entry.removeprefix("hf:"), None)] if is_hub else open_path(path, None)
    ids: set[str] = set()
    texts: set[int] = set()
    for table in tables:
        for row in table.rows():
            if row.record is None:
                raise UserError(f"{row.where}: {row.problem}")
            own = row.record.get("id")
            if isinstance(own, str | int):
                ids.add(str(own))
            layout = recognise(tuple(row.record), Fields())
            if layout is None:
                continue
            try:
                texts.add(text_hash(prompt_and_response(row.record, layout)[0]))
            except RowProblem:
                continue  # a row without a prompt names nothing by text
    return ids, texts


def _seal(path: Path) -> dict[str, Any]:
    """What identifies the list as it was read; nothing for a folder or a Hub dataset."""
    if not path.is_file():
        return {}
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
