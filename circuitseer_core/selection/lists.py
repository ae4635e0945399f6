"""Naming samples: by id, or by text that is the same once case and spacing are set aside.

Texts are compared as 64-bit hashes of their normalised form, so that the prompts of ten million
rows pass through once, as a stream, and leave 8 bytes each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from circuitseer_core.checksums import require_whole
from circuitseer_core.data.fields import Fields, RowProblem, prompt_and_response, recognise_as
from circuitseer_core.data.prompts import text_hash
from circuitseer_core.data.row_ids import id_of
from circuitseer_core.data.specs import file_of, format_of, is_data, is_remote, open_spec
from circuitseer_core.errors import UserError
from circuitseer_core.files import read_columns, user_path
from circuitseer_core.hashing import file_hash
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.reading import scored_fields
from circuitseer_core.runs.selection_records import ListFile
from circuitseer_core.selection import review
from circuitseer_core.selection.decontaminate import Contamination, contamination_in
from circuitseer_core.selection.draw import Drawing
from circuitseer_core.selection.pool import Pool
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.sift import REASONS, Rules, named_rows

_LINE_FILES = {".txt", ".ids", ".list", ""}


LIST_RULES = ("exclude", "drop", "include")


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One entry of a list as it was given, ``file`` (or an id), and what it names.

    ``sha256``: of a file; None for a folder, a Hub dataset or an id. ``by_text``: names that must
    be looked for by their text where no row has them as its id. ``own``: ids that stand alone,
    which may be the data's own, without the source.
    """

    file: str
    ids: frozenset[str]
    texts: frozenset[int] = frozenset()
    is_id: bool = False
    sha256: str | None = None
    by_text: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()

    def record(self, rule: str, pool: Pool) -> ListFile:
        """As selection.json keeps it, with how many rows of the pool it names."""
        further: dict[str, Any] = {"is_id": True} if self.is_id else {}
        further |= {"sha256": self.sha256} if self.sha256 else {}
        named = named_rows(pool, self.ids, self.own)
        if named.ambiguous:
            further["ambiguous"] = named.ambiguous
        rows = named.rows
        if self.texts and pool.prompt is not None:
            rows = rows | np.isin(pool.prompt, np.fromiter(self.texts, np.uint64, len(self.texts)))
        return ListFile(
            rule=rule,
            file=self.file,
            ids=len(self.ids),
            texts=len(self.texts),
            rows=int(rows.sum()),
            **further,
        )


@dataclass(frozen=True, slots=True)
class NameList:
    """Samples that lists name: ids and hashes of normalised texts, of all ``entries``."""

    ids: frozenset[str] = frozenset()
    texts: frozenset[int] = frozenset()
    own: frozenset[str] = frozenset()
    entries: tuple[ListEntry, ...] = ()

    @classmethod
    def of(cls, entries: Sequence[ListEntry]) -> NameList:
        """What several entries name together."""
        ids = frozenset(sample for entry in entries for sample in entry.ids)
        texts = frozenset(text for entry in entries for text in entry.texts)
        own = frozenset(sample for entry in entries for sample in entry.own)
        return cls(ids, texts, own, tuple(entries))


def read_list(entries: Sequence[str], known: Fields = Fields()) -> NameList:  # noqa: B008
    """Read an exclude or include list.

    An entry is DATA or an id. Text files name one id or one text a line (each line is tried as
    both). Data files (JSON Lines, JSON, CSV, Parquet) and ``hf:`` datasets name a row by its id and
    by its prompt; in rows that have a text, an id is the run's, else it may be the data's own.

    Args:
        known: names that the pool's data was read with, which come before those recognised.

    Raises:
        UserError: a file is missing or unreadable, or has neither ids nor prompts.
    """
    read: list[ListEntry] = []
    for entry in entries:
        path = file_of(entry)
        if not is_data(entry):
            named = user_path(entry)
            if format_of(named) is not None or named.suffix.lower() == ".txt":
                raise UserError(f"no such list file: {entry}")
            alone = frozenset({entry})
            read.append(ListEntry(entry, alone, is_id=True, own=alone))
            continue
        if path is not None and path.suffix.lower() in _LINE_FILES:
            names = _read_lines(path)
        else:
            names = _read_rows(entry, known)
        if not names.ids and not names.texts:
            raise UserError(f"{entry} names no sample: it has neither ids nor prompts")
        sha256 = None if path is None else file_hash(path)
        read.append(
            ListEntry(
                entry,
                frozenset(names.ids),
                frozenset(names.texts),
                sha256=sha256,
                by_text=frozenset(names.by_text),
                own=frozenset(names.own),
            )
        )
    return NameList.of(read)


def remote_entries(settings: SelectionSettings) -> tuple[str, ...]:
    """The settings' lists and benchmarks that do not lie on this machine: reading fetches them."""
    lists = [e for e in (*settings.exclude, *settings.include) if is_remote(e) and is_data(e)]
    return tuple(dict.fromkeys([*lists, *filter(is_remote, settings.decontaminate)]))


@dataclass(slots=True)
class _Names:
    """What a file names, as :class:`ListEntry` has it."""

    ids: set[str] = field(default_factory=set)
    texts: set[int] = field(default_factory=set)
    by_text: set[str] = field(default_factory=set)
    own: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Lists:
    """The exclude and include lists of a selection, read once."""

    exclude: NameList
    include: NameList

    def files(self, pool: Pool) -> list[ListFile]:
        """Every entry, with the rule that it serves and how many rows of the pool it names."""
        both = (("exclude", self.exclude), ("include", self.include))
        return [entry.record(rule, pool) for rule, names in both for entry in names.entries]


def read_lists(settings: SelectionSettings, run: Run | None = None) -> Lists:
    """Read the lists that the settings name, as the data of ``run`` was read."""
    known = Fields()
    if run is not None and (settings.exclude or settings.include):
        known = scored_fields(run, settings.scores)
    return Lists(read_list(settings.exclude, known), read_list(settings.include, known))


def list_rules(settings: SelectionSettings, lists: Lists | None = None) -> Rules:
    """The rules that the settings' lists make; ``lists`` where they were read before."""
    lists = lists or read_lists(settings)
    return Rules(
        exclude_ids=lists.exclude.ids,
        exclude_own=lists.exclude.own,
        exclude_texts=lists.exclude.texts,
        exclude_by_text=frozenset().union(*(e.by_text for e in lists.exclude.entries)),
        include_ids=lists.include.ids,
        include_own=lists.include.own,
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
    rules = list_rules(settings, lists or read_lists(settings, run))
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
    lists = read_columns([path], ["id", "rule"])
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


def _read_lines(path: Path) -> _Names:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as a list: {error}") from error
    lines = {line.strip() for line in text.splitlines()} - {""}
    of_words = {line for line in lines if len(line.split()) > 1}  # as ids seldom are
    return _Names(lines, {text_hash(line) for line in lines}, of_words, lines - of_words)


def _read_rows(entry: str, known: Fields) -> _Names:
    names = _Names()
    for table in open_spec(entry):
        for row in table.rows():
            if row.record is None:
                raise UserError(f"{row.where}: {row.problem}")
            name = id_of(row.record, known=known.id)
            layout = recognise_as(tuple(row.record), known)
            try:
                prompt = prompt_and_response(row.record, layout)[0] if layout else None
            except RowProblem:
                prompt = None  # a row without a prompt names nothing by text
            if prompt is not None:
                names.texts.add(text_hash(prompt))
                names.by_text.add(row.where if name is None else name)
            if name is None:
                continue
            source = row.record.get(known.source or "source")
            alone = prompt is None and not any(map(_is_text, row.record.values()))
            if alone and isinstance(source, str) and not name.startswith(f"{source}/"):
                name = f"{source}/{name}"
            elif alone:
                names.own.add(name)
            names.ids.add(name)
    return names


def _is_text(cell: Any) -> bool:
    """Whether a cell is a text of words: a question, perhaps, of which the id is a number only."""
    return isinstance(cell, str) and len(cell.split()) > 1
