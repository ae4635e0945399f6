"""``circuitseer_core.select``: a subset from a run, from a frame or from Parquet files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from circuitseer_core.arguments import a_path, described, several_texts
from circuitseer_core.data.prompts import prompt_hashes
from circuitseer_core.data.sample import ScoredPart
from circuitseer_core.errors import UserError
from circuitseer_core.files import parquet_files, read_columns, read_table_rows
from circuitseer_core.runs.columns import TOKEN_COLUMNS
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.stage import working
from circuitseer_core.selection.budgets import Stratify
from circuitseer_core.selection.decontaminate import find_contamination, read_benchmarks
from circuitseer_core.selection.draw import Drawing, draw
from circuitseer_core.selection.length_target import target_in_run
from circuitseer_core.selection.lists import list_rules, run_rules
from circuitseer_core.selection.near_duplicates import find_near_duplicates
from circuitseer_core.selection.pool import budget_tokens, load_pool, make_pool
from circuitseer_core.selection.select_run import refuse_other, select_run
from circuitseer_core.selection.settings import (
    DEFAULT_RUN_WORDS,
    Duplicates,
    LengthControl,
    SelectionSettings,
    TokenField,
)
from circuitseer_core.selection.strata import frame_strata

Scores: TypeAlias = Run | pd.DataFrame | str | Path | Sequence[str | Path]
"""What can be drawn from."""

UNSAVED = "unsaved"
"""The name of a draw that is not kept."""


def select(
    scores: Scores, *, scorer: str = "variance",
    fraction: float | None = None, count: int | None = None, tokens: int | None = None,
    token_field: TokenField = "prompt", temperature: float = 1.0, target_ess: float | None = None,
    length_control: LengthControl = "none", stratify: Stratify = "none",
    stratify_by: str = "source", max_per_source: int | None = None,
    exclude: Iterable[str] | str = (), include: Iterable[str] | str = (),
    duplicates: Duplicates = "remove", near_duplicates: float | None = None,
    decontaminate: Iterable[str] | str = (), run_words: int = DEFAULT_RUN_WORDS, seed: int = 0,
    text: ScoredPart = "prompt", scoring: str = "default", save: str | None = None,
    replace: bool = False, **further: Any,
) -> pd.DataFrame:  # fmt: skip
    """Draw a subset of scored samples.

    Args:
        scores: a run (its folder, one scoring's folder, or ``load_run`` of it), where judgements by
            eye count too; or a frame, or Parquet files, or folders of them. Columns: ``id`` and the
            scorer's; ``source`` for strata; ``n_tokens`` for length control (``n_tokens_full``,
            ``n_response_tokens`` for token budgets); ``prompt`` for duplicates, lists, benchmarks.
        scorer: the column to draw by.
        fraction, count, tokens: the budget, one of them; a tenth of the rows by default.
        token_field: whose tokens a token budget counts.
        temperature: τ; 0 is top-k, 1 the paper's draw, ``inf`` uniform; ``target_ess`` chooses it
            such that the effective sample size is this share of the pool.
        length_control: ``within-bins`` takes length out of the scores first.
        stratify, stratify_by: share the budget over a column's values (the source's by default).
        max_per_source: rows that a source may have at most.
        exclude, include: ids, or files that name samples by id or by text.
        duplicates: ``remove`` keeps one row of every normalised prompt.
        near_duplicates: keep one of prompts with this Jaccard index (needs the extra ``dedup``).
        decontaminate, run_words: benchmark files; rows that share so many words in a row go.
        text: which text was scored, as ``score --text`` has it; a run knows.
        scoring: which scoring of a run.
        save, replace: keep the draw in the run as a selection of this name, to be exported and
            verified; another draw of that name gives way only with ``replace``.
        further: ``lowest``, ``match_lengths``, ``require_response``, … as on the command line.

    Returns:
        The rows, best key first, with ``key`` (log s + τ·g; the score itself at τ = 0),
        ``probability`` (chance to be drawn first) and ``rank`` (from 1). ``attrs["selection"]``:
        temperature, counts, and the settings by which ``save_selection`` keeps the draw later.

    Raises:
        UserError: a column is missing, an option is out of range, or the budget cannot be met.
    """
    settings = _settings(
        save, further, scorer=scorer, fraction=fraction, count=count, tokens=tokens,
        token_field=token_field, temperature=temperature, target_ess=target_ess, seed=seed,
        length_control=length_control, stratify=stratify, stratify_by=stratify_by,
        max_per_source=max_per_source, exclude=exclude, include=include, duplicates=duplicates,
        near_duplicates=near_duplicates, decontaminate=decontaminate, run_words=run_words,
        scores=scoring,
    )  # fmt: skip
    place = _run_of(scores, settings.scores)
    if place is None:
        return _selected(scores, settings, text, save=save is not None)
    run, name = place
    asked = settings.model_copy(update={"scores": name})
    return _selected_in_run(run, asked, save=save is not None, replace=replace)


_LISTS = ("exclude", "include", "decontaminate", "exclude_tags", "include_tags")


def _settings(save: str | None, further: dict[str, Any], **options: Any) -> SelectionSettings:
    """The settings of a draw. Raises UserError where an option is none, or out of range."""
    for name, instead in (("name", "save"), ("scores", "scoring")):
        if name in further:
            raise UserError(f"there is no option {name!r} here: {instead}= says it")
    asked = {**options, **further}
    asked |= {name: several_texts(name, asked[name]) for name in _LISTS if name in asked}
    return SelectionSettings.of(**asked, name=UNSAVED if save is None else save)


def _run_of(scores: Any, scoring: str) -> tuple[Run, str] | None:
    """The run and the scoring that are meant, where scores are those of a run."""
    if isinstance(scores, Run):
        return scores, scoring
    if not isinstance(scores, str | os.PathLike):
        return None
    path = a_path("scores", scores)
    if (path / "run.json").is_file():
        return Run.open(path), scoring
    home = path.parent.parent
    if path.parent.name == "scores" and (home / "run.json").is_file():
        return Run.open(home), path.name
    return None


def _selected_in_run(
    run: Run, settings: SelectionSettings, *, save: bool, replace: bool
) -> pd.DataFrame:
    """The same rows that ``select --run`` draws, with all their columns."""
    if save and not replace:
        refuse_other(run, settings)
    everyone = load_pool(run, settings)
    rules = run_rules(run, settings)
    target = target_in_run(run, settings, everyone, rules)
    drawing = draw(everyone, settings, rules, target=target)
    if save:
        with working(run, "select"):
            select_run(run, settings, replace=replace)
    return _rows(drawing, settings, run.score_parts(settings.scores), None, of_run=True)


def _selected(
    scores: Any, settings: SelectionSettings, text: ScoredPart, *, save: bool
) -> pd.DataFrame:
    if save:
        raise UserError(
            "only a draw from a run can be saved: give the run, or keep the frame with "
            "save_selection(run, frame, name)"
        )
    if settings.exclude_tags or settings.include_tags:
        raise UserError("tags are kept in a run: give the run to draw by them")
    files = None if isinstance(scores, pd.DataFrame) else parquet_files(_paths(scores))
    light = scores if isinstance(scores, pd.DataFrame) else _read_light(files or [], settings)
    check_columns(light.columns, settings.scorer)
    needs_text = settings.duplicates == "remove" or settings.exclude or settings.include
    has_text = "prompt" in light and bool(needs_text)
    prompt = prompt_hashes(light["prompt"]) if has_text else None
    pool = make_pool(
        light, settings.scorer, tokens=budget_tokens(light, settings, text), prompt=prompt
    )
    rules = list_rules(settings)
    if settings.near_duplicates is not None:
        near = find_near_duplicates(_texts(light, "prompt"), settings.near_duplicates)
        pool = replace(pool, near=near)
    if settings.decontaminate:
        texts = (_texts(light, "prompt"), _texts(light, "response", needed=False))
        rows = zip(map(str, pool.ids), *texts, strict=True)
        benchmarks = read_benchmarks(settings.decontaminate, settings.run_words)
        rules = replace(rules, contamination=find_contamination(rows, benchmarks))
    if settings.stratify_by != "source":
        codes, values = frame_strata(light, settings.stratify_by)
        pool = replace(pool, stratum=codes, strata=values)
    # In a run the same rows follow from the settings without what only a run has.
    apart = {"review": False} | ({} if has_text else {"duplicates": "keep"})
    kept = settings.model_copy(update=apart)
    return _rows(draw(pool, settings, rules), kept, files, light)


def _texts(frame: pd.DataFrame, column: str, *, needed: bool = True) -> list[str | None]:
    """A column of texts, None where missing. Raises UserError where it is needed and not there."""
    if column not in frame:
        if needed:
            raise UserError(f"near-duplicates and benchmarks need the column {column!r}")
        return [None] * len(frame)
    return [text if isinstance(text, str) else None for text in frame[column]]


def _paths(scores: Any) -> list[str]:
    """Parquet paths. Raises UserError where ``scores`` is nothing that can be drawn from."""
    try:
        return several_texts("scores", scores)
    except UserError as error:
        raise UserError(
            f"scores: give a run, a frame or Parquet files, not {described(scores)}"
        ) from error


def _rows(
    drawing: Drawing,
    settings: SelectionSettings,
    files: Sequence[Path] | None,
    frame: pd.DataFrame | None,
    *,
    of_run: bool = False,
) -> pd.DataFrame:
    """The drawn rows of a frame or of files, best first, with their keys."""
    if files is not None:
        rows = read_table_rows(files, drawing.rows, None).to_pandas()
    else:
        assert frame is not None
        rows = frame.iloc[drawing.rows]
    rows = rows.reset_index(drop=True).assign(
        key=drawing.keys[drawing.chosen],
        probability=drawing.chances[drawing.chosen],
        rank=np.arange(1, len(drawing.chosen) + 1),
    )
    rows.attrs["selection"] = {
        "temperature": drawing.temperature,
        "counts": drawing.sifted.counts,
        "settings": settings.model_dump(mode="json"),
        "of_run": of_run,
    }
    return rows


def check_columns(columns: Iterable[str], scorer: str) -> None:
    """Raise UserError where the id or the scorer's column is missing, naming those there are."""
    have = list(columns)
    for needed in ("id", scorer):
        if needed not in have:
            raise UserError(f"the scores have no column {needed!r}; found: {', '.join(have)}")


def _read_light(files: Sequence[Path], settings: SelectionSettings) -> pd.DataFrame:
    """The columns that a draw looks at, from all files."""
    have = pq.read_schema(files[0]).names
    check_columns(have, settings.scorer)
    wanted = {"id", "source", "prompt", settings.scorer, settings.stratify_by, *TOKEN_COLUMNS}
    wanted |= {"response"} if settings.decontaminate else set()
    columns = [name for name in have if name in wanted]
    return read_columns(files, columns)
