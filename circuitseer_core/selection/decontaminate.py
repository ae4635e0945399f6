"""Rows that hold a benchmark's questions, found by shared runs of words.

A row is contaminated where its prompt or its response shares a run of n words (13 by default, after
Brown et al. 2020) with a question of a benchmark. A question of fewer than n words has no
such run: it is matched by a prompt that is the same word for word, signs of arithmetic included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Hashes, Ints
from circuitseer_core.data.fields import Fields, RowProblem, prompt_and_response, recognise_as
from circuitseer_core.data.specs import file_of, open_spec
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.hashing import file_hash
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.reading import scored_fields
from circuitseer_core.runs.selection_records import BenchmarkFile
from circuitseer_core.runs.texts import scored_texts
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.words import run_hashes, text_run_hash, words_of

MATCH_COLUMNS = ("id", "matched", "found_in", "similarity", "evidence")


@dataclass(frozen=True, slots=True, eq=False)
class Benchmarks:
    """Questions of benchmarks, as hashes.

    ``runs`` (r,): sorted hashes of their runs of ``n`` words; ``owner`` (r,): the question that
    each is from, a number into ``names``. ``short``: hash of a question of fewer words → number.
    """

    n: int
    names: tuple[str, ...]
    runs: Hashes
    owner: Ints
    short: dict[int, int]
    files: tuple[BenchmarkFile, ...]


@dataclass(frozen=True, slots=True)
class Contamination:
    """Which rows are contaminated; equal to another where ``digest`` is.

    ``matches``: id, matched (the first question, as file:place), found_in (prompt or response),
    similarity (share of the text's runs that benchmarks have), evidence (the first shared run).
    """

    digest: str
    n: int = field(compare=False)
    ids: frozenset[str] = field(compare=False)
    matches: pd.DataFrame = field(compare=False, repr=False)
    files: tuple[BenchmarkFile, ...] = field(compare=False)


def read_benchmarks(
    entries: Sequence[str],
    n: int,
    known: Fields = Fields(),  # noqa: B008
) -> Benchmarks:
    """Read benchmark questions.

    An entry is a text file with one question a line, or any DATA (a file, a folder, ``hf:``), whose
    prompts are its questions.

    Args:
        n: words of a run.
        known: names that the pool's data was read with, which come before those recognised.

    Raises:
        UserError: a file is missing or unreadable, or has no question.
    """
    names: list[str] = []
    hashes: list[Hashes] = []
    owners: list[Ints] = []
    short: dict[int, int] = {}
    files = []
    for entry in entries:
        begin, brief = len(names), 0
        for where, question in _questions(entry, known):
            words = words_of(question)
            whole = text_run_hash(words_of(question, signs=True))
            if not whole:
                continue
            if len(words) < n:
                short.setdefault(whole, len(names))
                brief += 1
            else:
                own = run_hashes(words, n)
                hashes.append(own)
                owners.append(np.full(len(own), len(names), np.int64))
            names.append(where)
        if len(names) == begin:
            raise UserError(f"{entry} holds no question to decontaminate against")
        path = file_of(entry)
        seal = None if path is None else file_hash(path)
        files.append(
            BenchmarkFile(file=entry, questions=len(names) - begin, short=brief, sha256=seal)
        )
    runs = np.concatenate([np.empty(0, np.uint64), *hashes])
    owner = np.concatenate([np.empty(0, np.int64), *owners])
    runs, first = np.unique(runs, return_index=True)
    return Benchmarks(n, tuple(names), runs, owner[first], short, tuple(files))


def benchmarks_of(run: Run, settings: SelectionSettings) -> Benchmarks:
    """The benchmarks that the settings name, read as the scoring's data was."""
    known = scored_fields(run, settings.scores)
    return read_benchmarks(settings.decontaminate, settings.run_words, known)


def contamination_in(run: Run, settings: SelectionSettings) -> Contamination | None:
    """The contaminated rows of a scoring, where the settings name benchmarks."""
    if not settings.decontaminate:
        return None
    benchmarks = benchmarks_of(run, settings)
    return find_contamination(scored_texts(run, settings.scores), benchmarks)


def find_contamination(
    rows: Iterable[tuple[str, str | None, str | None]], benchmarks: Benchmarks
) -> Contamination:
    """The contaminated rows of a pool; ``rows``: id, prompt and response of each, read once."""
    matches = [
        {"id": sample, **match}
        for sample, prompt, response in rows
        if (match := _match(prompt, response, benchmarks)) is not None
    ]
    frame = pd.DataFrame(matches, columns=list(MATCH_COLUMNS))
    return contamination_of(frame, benchmarks.n, benchmarks.files)


def contamination_of(
    matches: pd.DataFrame, n: int, files: Sequence[BenchmarkFile]
) -> Contamination:
    """The record of these matches."""
    ids = frozenset(matches["id"])
    lines = "\n".join(sorted(map(str, ids))).encode("utf-8", "surrogatepass")
    return Contamination(hashlib.sha256(lines).hexdigest(), n, ids, matches, tuple(files))


def _match(
    prompt: str | None, response: str | None, benchmarks: Benchmarks
) -> dict[str, object] | None:
    for text, name in ((prompt, "prompt"), (response, "response")):
        if not text:
            continue
        words = words_of(text)
        if len(words) < benchmarks.n:
            whole = text_run_hash(words_of(text, signs=True)) if name == "prompt" else 0
            if whole in benchmarks.short:
                return _match_row(benchmarks, benchmarks.short[whole], name, 1.0, " ".join(words))
            continue
        runs = run_hashes(words, benchmarks.n)
        at = np.searchsorted(benchmarks.runs, runs)
        inside = at < len(benchmarks.runs)
        hit = np.zeros(len(runs), dtype=bool)
        hit[inside] = benchmarks.runs[at[inside]] == runs[inside]
        if hit.any():
            first = int(np.flatnonzero(hit)[0])
            evidence = " ".join(words[first : first + benchmarks.n])
            owner = int(benchmarks.owner[at[first]])
            return _match_row(benchmarks, owner, name, float(hit.mean()), evidence)
    return None


def _match_row(
    benchmarks: Benchmarks, question: int, name: str, share: float, evidence: str
) -> dict[str, object]:
    return {
        "matched": benchmarks.names[question],
        "found_in": name,
        "similarity": share,
        "evidence": evidence,
    }


def _questions(entry: str, known: Fields) -> Iterable[tuple[str, str]]:
    """(place, text) of every question of one entry."""
    path = file_of(entry)
    if path is not None and path.suffix.lower() == ".txt":
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read: {one_line(error)}") from error
        yield from ((f"{path.name}:{number}", line) for number, line in enumerate(lines, start=1))
        return
    for table in open_spec(entry):
        for row in table.rows():
            if row.record is None:
                raise UserError(f"{row.where}: {row.problem}")
            layout = recognise_as(tuple(row.record), known)
            if layout is None:
                columns = ", ".join(map(str, row.record))
                raise UserError(f"{row.where} has no column that is a question; found: {columns}")
            try:
                yield row.where, prompt_and_response(row.record, layout)[0]
            except RowProblem:
                continue  # a row without a question has nothing to be found by
