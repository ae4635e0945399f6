"""The pool as arrays: every scored row, read from a frame, from a run, or from columns at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats, Hashes, Ints
from circuitseer_core.data.sample import ScoredPart
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import hash64, remix
from circuitseer_core.runs.columns import TOKEN_COLUMNS
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.texts import pool_prompts
from circuitseer_core.selection.gumbel import draw_hashes
from circuitseer_core.selection.near_duplicates import NearDuplicates, near_duplicates_in
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.strata import column_strata

NO_TEXT = np.uint64(0)
"""The prompt hash of a row whose prompt is not known: equal to nothing."""


@dataclass(frozen=True, slots=True)
class Pool:
    """N rows, as the draw sees them.

    ``ids``: N strings. ``source``: (N,) numbers into ``names``, which is sorted. ``score``: (N,)
    float64, NaN where missing. ``length``: (N,) scored tokens. ``tokens``: (N,) tokens that count
    towards a token budget. ``prompt``: (N,) hashes of normalised prompts, or None where unknown.
    ``answered``: (N,) whether a row has a response, or None where unknown. ``near``: which prompts
    are nearly the same, where that was asked for. ``stratum``: (N,) numbers into ``strata``, the
    values of the column that shares the budget; None where that is the source.
    """

    ids: Sequence[str]
    names: tuple[str, ...]
    source: Ints
    score: Floats
    length: Floats
    tokens: Ints
    prompt: Hashes | None = None
    answered: NDArray[np.bool_] | None = None
    near: NearDuplicates | None = None
    stratum: Ints | None = None
    strata: tuple[str, ...] = ()

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.score)

    def take(self, rows: Ints) -> Pool:
        """The pool of these rows, in this order; sources keep their numbers.

        ``near`` speaks of all rows and is left behind.
        """
        return replace(
            self,
            ids=self.ids.take(rows) if hasattr(self.ids, "take") else [self.ids[i] for i in rows],
            source=self.source[rows],
            score=self.score[rows],
            length=self.length[rows],
            tokens=self.tokens[rows],
            prompt=None if self.prompt is None else self.prompt[rows],
            answered=None if self.answered is None else self.answered[rows],
            near=None,
            stratum=None if self.stratum is None else self.stratum[rows],
        )


def make_pool(
    frame: pd.DataFrame,
    scorer: str,
    *,
    tokens: Ints,
    prompt: Hashes | None = None,
) -> Pool:
    """Read a frame (id, source, the scorer's column, n_tokens) into arrays.

    ``source`` and ``n_tokens`` may be absent: one unnamed source, lengths 0.
    """
    if frame["id"].isna().any():
        raise UserError(f"{int(frame['id'].isna().sum())} rows have no id")
    source = frame["source"] if "source" in frame else pd.Series("", index=frame.index)
    known = "n_response_tokens" in frame
    answered = frame["n_response_tokens"].notna().to_numpy(dtype=bool) if known else None
    codes, names = _coded(source)
    lengths = frame["n_tokens"] if "n_tokens" in frame else pd.Series(0.0, index=frame.index)
    return Pool(
        ids=_strings(frame["id"]).array,
        names=names,
        source=codes,
        score=_floats(frame[scorer], scorer),
        length=_floats(lengths, "n_tokens"),
        tokens=tokens,
        prompt=prompt,
        answered=answered,
    )


def load_pool(run: Run, settings: SelectionSettings, *, prompts: bool | None = None) -> Pool:
    """The whole pool of a scoring as arrays; ``prompts`` says whether to compare prompts too.

    By default they are read where a rule needs them: duplicates or lists.

    Raises:
        UserError: no such scoring, or no such scorer in it (naming those there are).
    """
    parts = run.whole_score_parts(settings.scores)
    if not parts:
        raise UserError(f"{run.path}: scoring {settings.scores!r} has no finished shard yet")
    have = pq.read_schema(parts[0]).names
    known = run.scoring(settings.scores).scorers or have
    if settings.scorer not in have:
        raise UserError(f"no scorer {settings.scorer!r} in this run; it has: {', '.join(known)}")
    wanted = dict.fromkeys(["id", "source", settings.scorer, *TOKEN_COLUMNS])
    frame = run.scores(settings.scores, [name for name in wanted if name in have])
    text = run.scoring(settings.scores).text
    if prompts is None:
        prompts = bool(settings.duplicates == "remove" or settings.exclude or settings.include)
    pool = make_pool(
        frame,
        settings.scorer,
        tokens=budget_tokens(frame, settings, text),
        prompt=pool_prompts(run, settings.scores) if prompts else None,
    )
    if settings.near_duplicates is not None:
        pool = replace(pool, near=near_duplicates_in(run, settings))
    if settings.stratify_by != "source":
        codes, values = column_strata(run, settings.scores, settings.stratify_by)
        pool = replace(pool, stratum=codes, strata=values)
    return pool


def pool_of(
    base: pd.DataFrame,
    score: Floats,
    settings: SelectionSettings,
    text: ScoredPart,
    prompts: Hashes | None,
) -> Pool:
    """The pool as ``load_pool`` makes it, from columns at hand.

    Args:
        base: id, source and token counts of all rows, in data order.
        score: (N,) the scorer's column, in the same order.
        settings: whose budget decides which tokens count.
        text: which text was scored.
        prompts: hashes by which duplicates are found, or None.
    """
    frame = base.assign(**{settings.scorer: score})
    return make_pool(
        frame,
        settings.scorer,
        tokens=budget_tokens(frame, settings, text),
        prompt=prompts,
    )


def budget_tokens(frame: pd.DataFrame, settings: SelectionSettings, text: ScoredPart) -> Ints:
    """(N,) tokens of the prompt, the response or both, whichever text was scored; 0 where null.

    ``n_tokens_full`` counts the scored text before truncation (``n_tokens``, after it, stands in
    where it is missing), ``n_response_tokens`` the response.

    Raises:
        UserError: prompts' tokens are asked for and only responses were scored and counted.
    """

    def column(name: str) -> Ints:
        if name not in frame:
            return np.zeros(len(frame), dtype=np.int64)
        return frame[name].fillna(0).to_numpy(dtype=np.int64)

    full = column("n_tokens_full" if "n_tokens_full" in frame else "n_tokens")
    if settings.tokens is None and settings.match_lengths is None:
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


def pool_hash(pool: Pool) -> str:
    """32 hex digits over every row's id, source, score and tokens, whatever the rows' order."""
    rows = draw_hashes(pool.ids, 0, domain="pool")
    names = hash64(0, "source", pool.names)
    for column in (pool.score + 0.0, pool.length + 0.0, pool.tokens):  # + 0.0: no negative zero
        rows = remix(rows ^ np.ascontiguousarray(column).view(np.uint64), 0)
    rows = remix(rows ^ names[pool.source], 0)
    with np.errstate(over="ignore"):
        sums = [int(remix(rows, number).sum(dtype=np.uint64)) for number in (1, 2)]
    return "".join(f"{value:016x}" for value in sums)


def _coded(source: pd.Series) -> tuple[Ints, tuple[str, ...]]:
    """(N,) numbers into the sorted names of the sources, and those; nulls are a source ""."""
    if not isinstance(source.dtype, pd.CategoricalDtype):
        codes, names = pd.factorize(_strings(source).fillna(""), sort=True)
        return codes.astype(np.int64, copy=False), tuple(str(name) for name in names)
    named = source.cat.codes.to_numpy()
    words = [*map(str, source.cat.categories), ""]  # the last for code -1
    used = np.bincount(named + 1, minlength=len(words))
    present = sorted({words[code - 1] for code in np.flatnonzero(used)})
    number = {name: i for i, name in enumerate(present)}
    return np.array([number.get(word, -1) for word in words])[named], tuple(present)


def _strings(column: pd.Series) -> pd.Series:
    """The column as strings, nulls kept; numbers and categories are written out."""
    return column if pd.api.types.is_string_dtype(column.dtype) else column.astype("string")


def _floats(column: pd.Series, name: str) -> Floats:
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise UserError(f"column {name} is not numeric") from error
