"""Naming samples: by id, or by text that is the same once case and spacing are set aside.

Texts are compared as 64-bit hashes of their normalised form, so that the prompts of ten million
rows pass through once, as a stream, and leave 8 bytes each.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from circuitseer_core.checksums import require_whole
from circuitseer_core.data.fields import Fields, RowProblem, prompt_and_response, recognise
from circuitseer_core.data.prompts import text_hash
from circuitseer_core.data.remote import is_address
from circuitseer_core.data.specs import format_of, is_remote, open_spec
from circuitseer_core.errors import UserError
from circuitseer_core.files import user_path
from circuitseer_core.hashing import file_hash
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.selection_records import ListFile
from circuitseer_core.selection import review
from circuitseer_core.selection.decontaminate import Contamination, contamination_in
from circuitseer_core.selection.draw import Drawing
from circuitseer_core.selection.pool import Pool
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.sift import REASONS, Rules

_LINE_FILES = {".txt", ".ids", ".list", ""}


LIST_RULES = ("exclude", "drop", "include")


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One entry of a list as it was given, ``file`` (or an id), and what it names.

    ``sha256``: of a file; None for a folder, a Hub dataset or an id. ``by_text``: names that must
    be looked for by their text where no row has them as its id.
    """

    file: str
    ids: frozenset[str]
    texts: frozenset[int] = frozenset()
    is_id: bool = False
    sha256: str | None = None
    by_text: frozenset[str] = frozenset()

    def record(self, rule: str, pool: Pool) -> ListFile:
        """As selection.json keeps it, with how many rows of the pool it names."""
        further: dict[str, Any] = {"is_id": True} if self.is_id else {}
        further |= {"sha256": self.sha256} if self.sha256 else {}
        return ListFile(
            rule=rule,
            file=self.file,
            ids=len(self.ids),
            texts=len(self.texts),
            rows=_named_rows(pool, self.ids, self.texts),
            **further,
        )


@dataclass(frozen=True, slots=True)
class NameList:
    """Samples that lists name: ids and hashes of normalised texts, of all ``entries``."""

    ids: frozenset[str] = frozenset()
    texts: frozenset[int] = frozenset()
    entries: tuple[ListEntry, ...] = ()

    @classmethod
    def of(cls, entries: Sequence[ListEntry]) -> NameList:
        """What several entries name together."""
        ids = frozenset(sample for entry in entries for sample in entry.ids)
        texts = frozenset(text for entry in entries for text in entry.texts)
        return cls(ids, texts, tuple(entries))


def read_list(entries: Sequence[str]) -> NameList:
    """Read an exclude or include list.

    An entry is a file, a folder of files, or an id. Text files name one id or one text a line
    (each line is tried as both). Data files (JSON Lines, JSON, CSV, Parquet) and ``hf:`` datasets
    name a row by its ``id`` and by its prompt, recognised as in any dataset.

    Raises:
        UserError: a file is missing or unreadable, or has neither ids nor prompts.
    """
    read: list[ListEntry] = []
    for entry in entries:
        path = user_path(entry)
        if not (_is_fetched(entry) or os.path.exists(path)):  # an id may be longer than any path
            if format_of(path) is not None or path.suffix.lower() == ".txt":
                raise UserError(f"no such list file: {entry}")
            read.append(ListEntry(entry, frozenset({entry}), is_id=True))
            continue
        if os.path.isfile(path) and path.suffix.lower() in _LINE_FILES:
            ids, texts, by_text = _read_lines(path)
        else:
            ids, texts, by_text = _read_rows(entry)
        if not ids and not texts:
            raise UserError(f"{entry} names no sample: it has neither ids nor prompts")
        sha256 = file_hash(path) if path.is_file() else None
        names = (frozenset(ids), frozenset(texts))
        read.append(ListEntry(entry, *names, sha256=sha256, by_text=frozenset(by_text)))
    return NameList.of(read)


def remote_entries(settings: SelectionSettings) -> tuple[str, ...]:
    """The settings' lists and benchmarks that do not lie on this machine: reading fetches them."""
    named = [entry for entry in (*settings.exclude, *settings.include) if _is_fetched(entry)]
    return tuple(dict.fromkeys([*named, *filter(is_remote, settings.decontaminate)]))


def _is_fetched(entry: str) -> bool:
    """Whether an entry of a list is a dataset elsewhere; an address of no known format is an id."""
    known = format_of(user_path(entry)) is not None
    return entry.startswith(("hf:", "hf-stream:")) or (known and is_address(entry))


@dataclass(frozen=True, slots=True)
class Lists:
    """The exclude and include lists of a selection, read once."""

    exclude: NameList
    include: NameList

    def files(self, pool: Pool) -> list[ListFile]:
        """Every entry, with the rule that it serves and how many rows of the pool it names."""
        both = (("exclude", self.exclude), ("include", self.include))
        return [entry.record(rule, pool) for rule, names in both for entry in names.entries]


def _named_rows(pool: Pool, ids: frozenset[str], texts: frozenset[int]) -> int:
    """How many rows are named, by id or by text."""
    named = pd.Series(pool.ids).isin(ids).to_numpy(dtype=bool)
    if texts and pool.prompt is not None:
        named = named | np.isin(pool.prompt, np.fromiter(texts, np.uint64, len(texts)))
    return int(named.sum())


def read_lists(settings: SelectionSettings) -> Lists:
    """Read the lists that the settings name."""
    return Lists(read_list(settings.exclude), read_list(settings.include))


def list_rules(settings: SelectionSettings, lists: Lists | None = None) -> Rules:
    """The rules that the settings' lists make; ``lists`` where they were read before."""
    lists = lists or read_lists(settings)
    return Rules(
        exclude_ids=lists.exclude.ids,
        exclude_texts=lists.exclude.texts,
        exclude_by_text=frozenset().union(*(e.by_text for e in lists.exclude.entries)),
        include_ids=lists.include.ids,
        include_texts=lists.include.texts,
        duplicates=settings.duplicates == "remove",
        responses=settings.require_response,
        near_duplicates=settings.near_duplicates is not None,
    )


def run_rules(
    run: Run,
    settings: SelectionSettings,
    lists: Lists | None = None,
    contamination: Contamination | None = None,
) -> Rules:
    """The settings' lists and benchmarks, and what was pinned, dropped and tagged in this run.

    ``lists`` and ``contamination`` where they were read and found before.
    """
    rules = list_rules(settings, lists)
    if contamination is None:
        contamination = contamination_in(run, settings)
    rules = replace(rules, contamination=contamination)
    state = review.load(run.path)
    pins = state.pins if settings.review else set()
    drops = state.drops if settings.review else set()
    pins = pins | state.tagged(*settings.include_tags)
    drops = drops | state.tagged(*settings.exclude_tags)
    return replace(rules, include_ids=rules.include_ids | pins, dropped=frozenset(drops))


def stored_rules(run: Run, name: str, settings: SelectionSettings) -> tuple[Rules, str]:
    """The rules as a selection's ``lists.parquet`` kept them, and that file's content hash."""
    path = run.selection_dir(name) / "lists.parquet"
    if not path.is_file():
        raise UserError(f"{path} is missing: the lists behind the selection are not known")
    require_whole(path, f"select --run {run.path} --name {name} draws it again")
    lists = pd.read_parquet(path)
    named = {rule: frozenset(lists.loc[lists["rule"] == rule, "id"]) for rule in LIST_RULES}
    rules = Rules(
        exclude_ids=named["exclude"],
        dropped=named["drop"],
        include_ids=named["include"],
        duplicates=settings.duplicates == "remove",
        responses=settings.require_response,
        near_duplicates=settings.near_duplicates is not None,
    )
    return rules, lists_hash(lists)


def lists_frame(everyone: Pool, drawing: Drawing) -> pd.DataFrame:
    """lists.parquet: id and rule (exclude, drop, include) of every row that a rule named."""
    reason, first = drawing.sifted.reason, drawing.sifted.first
    rows = {
        "exclude": np.isin(reason, [REASONS.index("excluded_id"), REASONS.index("excluded_text")]),
        "drop": reason == REASONS.index("dropped"),
        "include": first,
    }
    parts = [
        pd.DataFrame(
            {"id": [str(everyone.ids[int(i)]) for i in np.flatnonzero(mask)], "rule": rule}
        )
        for rule, mask in rows.items()
    ]
    frame = pd.concat(parts, ignore_index=True).astype({"id": str, "rule": str})
    return frame.sort_values(["rule", "id"], ignore_index=True)


def lists_hash(lists: pd.DataFrame) -> str:
    """SHA-256 over sorted (rule, id) lines."""
    lines = sorted(
        f"{rule}\t{sample}" for rule, sample in zip(lists["rule"], lists["id"], strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _read_lines(path: Path) -> tuple[set[str], set[int], set[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as a list: {error}") from error
    lines = {line.strip() for line in text.splitlines()} - {""}
    of_words = {line for line in lines if len(line.split()) > 1}  # as ids seldom are
    return lines, {text_hash(line) for line in lines}, of_words


def _read_rows(entry: str) -> tuple[set[str], set[int], set[str]]:
    tables = open_spec(entry)
    ids: set[str] = set()
    texts: set[int] = set()
    by_text: set[str] = set()
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
            by_text.add(str(own) if isinstance(own, str | int) else row.where)
    return ids, texts, by_text
