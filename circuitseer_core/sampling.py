"""Scores to subset: settings, and the draw from beginning to end.

1. Sift the pool: exclusions, missing scores, duplicates (candidates.py).
2. Take length out of the scores if asked (keys.py, ``control_length``).
3. Fix the temperature, given or found for a target effective sample size.
4. Key every sample and sort (keys.py); ``key_i = log s_i + τ·g_i``.
5. Take keys from the top until the budget, its strata and its caps are met (budgets.py).

Nothing here needs a model library: ``select`` works on a frame or on Parquet files on a laptop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from circuitseer_core.budgets import Groups, Limits, Stratify, choose, enough, rows_of
from circuitseer_core.candidates import Pool, Rules, Sifted, check_unique, make_pool, sift
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import to_gumbels
from circuitseer_core.keys import (
    control_length,
    draw_hashes,
    key_order,
    probabilities,
    sampling_keys,
    temperature_for,
)
from circuitseer_core.matching import prompt_hashes, read_list
from circuitseer_core.settings import Duplicates, LengthControl, SelectionSettings, TokenField

TOKEN_COLUMNS = ("n_tokens", "n_tokens_full", "n_response_tokens")
ScoredText = Literal["prompt", "response", "full"]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished draw and all that its diagnostics need.

    ``pool`` holds the n eligible rows and ``where`` (n,) their row numbers in the frame they came
    from. ``weight`` (n,): scores after length control. ``hashes``, ``keys``, ``chances`` (n,).
    ``chosen`` (k,): rows of ``pool`` in rank order.
    """

    pool: Pool
    where: NDArray[np.int64]
    sifted: Sifted
    weight: NDArray[np.float64]
    hashes: NDArray[np.uint64]
    keys: NDArray[np.float64]
    chances: NDArray[np.float64]
    chosen: NDArray[np.int64]
    temperature: float
    groups: Groups
    limits: Limits

    @property
    def rows(self) -> NDArray[np.int64]:
        """(k,) chosen rows of the original frame, in rank order."""
        return self.where[self.chosen]


def draw(
    everyone: Pool,
    settings: SelectionSettings,
    rules: Rules,
    *,
    sifted: Sifted | None = None,
    hashes: NDArray[np.uint64] | None = None,
) -> Drawing:
    """Draw a subset; see the head of this module.

    ``sifted`` (of this pool and these rules) and ``hashes`` (N,) (``draw_hashes`` of all ids under
    this seed, checked for twins) save their time to callers who draw again and again.

    Raises:
        UserError: nothing is left to draw from, the budget cannot be met, scores are negative,
            ids repeat, or the must-haves alone exceed the budget.
    """
    sifted = sift(everyone, rules) if sifted is None else sifted
    where = np.flatnonzero(sifted.reason == 0)
    if not len(where):
        raise UserError(f"nothing is left to draw from: {_explain(sifted.counts)}")
    pool = everyone if len(where) == len(everyone) else everyone.take(where)
    weight = pool.score
    if settings.length_control == "within-bins":
        if not np.isfinite(pool.length).all() or not pool.length.any():
            raise UserError("length control needs the token count of every sample (n_tokens)")
        weight = control_length(pool.score, pool.length)
    temperature = settings.temperature
    if settings.target_ess is not None:
        temperature = temperature_for(weight, settings.target_ess)
    if hashes is None:
        hashes = draw_hashes(pool.ids, settings.seed)
        check_unique(pool, hashes)
    else:
        hashes = hashes[where]
    noise = to_gumbels(hashes)
    keys = sampling_keys(weight, noise, temperature)
    limits = _limits(settings, len(pool))
    groups = Groups(pool.source, pool.tokens, sifted.first[where], len(pool.names))
    order = key_order(keys, noise, pool.ids, top=enough(groups, limits))
    del noise
    chosen = choose(order, groups, limits)
    if not len(chosen):
        raise UserError(
            f"the budget of {limits.tokens} tokens is smaller than the first sample drawn "
            f"({int(pool.tokens[order[0]])} tokens)"
        )
    chances = probabilities(weight, temperature)
    return Drawing(
        pool, where, sifted, weight, hashes, keys, chances, chosen, temperature, groups, limits
    )


def select(
    scores: pd.DataFrame | str | Path | Sequence[str | Path], *, scorer: str = "variance",
    fraction: float | None = None, count: int | None = None, tokens: int | None = None,
    token_field: TokenField = "prompt", temperature: float = 1.0, target_ess: float | None = None,
    length_control: LengthControl = "none", stratify: Stratify = "none",
    max_per_source: int | None = None, exclude: Iterable[str] | str = (),
    include: Iterable[str] | str = (), duplicates: Duplicates = "remove", seed: int = 0,
    text: ScoredText = "prompt",
) -> pd.DataFrame:  # fmt: skip
    """Draw a subset of scored samples.

    Args:
        scores: a frame, or Parquet files or folders of them. Columns: ``id`` and the scorer's;
            ``source`` for strata and caps; ``n_tokens`` for length control (``n_tokens_full``,
            ``n_response_tokens`` for token budgets); ``prompt`` for duplicates and lists of texts.
        scorer: the column to draw by.
        fraction, count, tokens: the budget, one of them; a tenth of the rows by default.
        token_field: whose tokens a token budget counts.
        temperature: τ; 0 is top-k, 1 the paper's draw, ``inf`` uniform.
        target_ess: choose τ such that the effective sample size is this share of the pool.
        length_control: ``within-bins`` takes length out of the scores first.
        stratify, max_per_source: share the budget over sources; rows a source may have at most.
        exclude, include: ids, or files that name samples by id or by text.
        duplicates: ``remove`` keeps one row of every normalised prompt.
        seed: another seed, another draw.
        text: which text was scored, as ``score --text`` has it.

    Returns:
        The chosen rows with all their columns, best key first, and ``key`` (log s + τ·g; the score
        itself at τ = 0), ``probability`` (chance to be drawn first) and ``rank`` (from 1).
        ``attrs["selection"]`` holds the temperature and the counts.

    Raises:
        UserError: a column is missing, an option is out of range, or the budget cannot be met.
    """
    settings = SelectionSettings.of(
        scorer=scorer, fraction=fraction, count=count, tokens=tokens, token_field=token_field,
        temperature=temperature, target_ess=target_ess, length_control=length_control,
        stratify=stratify, max_per_source=max_per_source, duplicates=duplicates, seed=seed,
        exclude=(exclude,) if isinstance(exclude, str) else tuple(exclude),
        include=(include,) if isinstance(include, str) else tuple(include),
    )  # fmt: skip
    return _selected(scores, settings, text)


def _selected(
    scores: pd.DataFrame | str | Path | Sequence[str | Path],
    settings: SelectionSettings,
    text: ScoredText,
) -> pd.DataFrame:
    files = None if isinstance(scores, pd.DataFrame) else parquet_files(scores)
    light = scores if isinstance(scores, pd.DataFrame) else _read_light(files or [], settings)
    check_columns(light.columns, settings.scorer)
    needs_text = settings.duplicates == "remove" or settings.exclude or settings.include
    has_text = "prompt" in light and bool(needs_text)
    prompt = prompt_hashes(light["prompt"]) if has_text else None
    drawing = draw(
        make_pool(
            light, settings.scorer, tokens=budget_tokens(light, settings, text), prompt=prompt
        ),
        settings,
        list_rules(settings),
    )
    rows = light.iloc[drawing.rows] if files is None else _read_rows(files, drawing.rows)
    rows = rows.reset_index(drop=True).assign(
        key=drawing.keys[drawing.chosen],
        probability=drawing.chances[drawing.chosen],
        rank=np.arange(1, len(drawing.chosen) + 1),
    )
    rows.attrs["selection"] = {
        "temperature": drawing.temperature,
        "counts": drawing.sifted.counts,
    }
    return rows


def list_rules(settings: SelectionSettings) -> Rules:
    """The rules that the settings' exclude and include lists make; reads their files."""
    out, wanted = read_list(settings.exclude), read_list(settings.include)
    return Rules(
        exclude_ids=out.ids,
        exclude_texts=out.texts,
        include_ids=wanted.ids,
        include_texts=wanted.texts,
        duplicates=settings.duplicates == "remove",
    )


def check_columns(columns: Iterable[str], scorer: str) -> None:
    """Raise UserError where the id or the scorer's column is missing, naming those there are."""
    have = list(columns)
    for needed in ("id", scorer):
        if needed not in have:
            raise UserError(f"the scores have no column {needed!r}; found: {', '.join(have)}")


def budget_tokens(
    frame: pd.DataFrame, settings: SelectionSettings, text: ScoredText
) -> NDArray[np.int64]:
    """(N,) tokens of the prompt, the response or both, whichever text was scored; 0 where null.

    ``n_tokens_full`` counts the scored text before truncation (``n_tokens``, after it, stands in
    where it is missing), ``n_response_tokens`` the response.

    Raises:
        UserError: prompts' tokens are asked for and only responses were scored and counted.
    """

    def column(name: str) -> NDArray[np.int64]:
        if name not in frame:
            return np.zeros(len(frame), dtype=np.int64)
        return frame[name].fillna(0).to_numpy(dtype=np.int64)

    full = column("n_tokens_full" if "n_tokens_full" in frame else "n_tokens")
    if settings.tokens is None:
        return full  # not a budget, but the app and the card report the subset's tokens
    if not {"n_tokens_full", "n_tokens"} & set(frame.columns):
        raise UserError("a token budget needs the token counts (n_tokens_full or n_tokens)")
    if text == "response":
        if settings.token_field != "response":
            raise UserError(
                "responses were scored, so prompts' tokens are not known: use token-field response"
            )
        return full
    if settings.token_field != "prompt" and "n_response_tokens" not in frame:
        raise UserError("the responses' tokens are not known (no column n_response_tokens)")
    response = column("n_response_tokens")
    if text == "full":
        parts = {"prompt": np.maximum(full - response, 0), "response": response, "both": full}
    else:
        parts = {"prompt": full, "response": response, "both": full + response}
    return parts[settings.token_field]


def parquet_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """Parquet files, folders standing for those in them. Raises UserError where there is none."""
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    files: list[Path] = []
    for path in map(Path, given):
        found = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not found or not all(file.is_file() for file in found):
            raise UserError(f"no Parquet file at {path}")
        files += found
    return files


def _read_light(files: Sequence[Path], settings: SelectionSettings) -> pd.DataFrame:
    """The columns that a draw looks at, from all files."""
    have = pq.read_schema(files[0]).names
    check_columns(have, settings.scorer)
    wanted = {"id", "source", "prompt", settings.scorer, *TOKEN_COLUMNS}
    columns = [name for name in have if name in wanted]
    return pd.concat([pd.read_parquet(f, columns=columns) for f in files], ignore_index=True)


def _read_rows(files: Sequence[Path], rows: NDArray[np.int64]) -> pd.DataFrame:
    """All columns of the chosen rows alone, a row group in memory at a time, in the given order."""
    return read_table_rows(files, rows, None).to_pandas()


def read_table_rows(
    files: Sequence[Path], rows: NDArray[np.int64], columns: list[str] | None
) -> pa.Table:
    """Rows, numbered through all ``files``, in the given order; other row groups are not read."""
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
    return pa.concat_tables(parts, promote_options="permissive").take(back)


def _limits(settings: SelectionSettings, n: int) -> Limits:
    rows = settings.count
    if settings.share is not None:
        rows = rows_of(settings.share, n)
    if rows is not None and rows > n:
        raise UserError(f"{rows} samples were asked for and {n} can be drawn")
    return Limits(rows, settings.tokens, settings.stratify, settings.max_per_source)


def _explain(counts: dict[str, int]) -> str:
    kinds = {name: n for name, n in counts.items() if n and name not in ("rows", "eligible")}
    parts = [f"{n} {name.replace('_', ' ')}" for name, n in kinds.items()]
    return f"of {counts['rows']} rows, {', '.join(parts) or 'none'}"
