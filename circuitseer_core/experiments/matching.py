"""The same samples in two scorings, of one run or of two: by id, else by the prompt.

Two runs may name the same sample differently (another file name is another source, and the source
is a part of the id). So rows are matched by id where that finds most of them, and by the hash of
the normalised prompt otherwise; a prompt that stands in either scoring twice matches nothing. Where
both know their prompts, equal ids with different prompts are no match.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run

LEAST = 30
"""Fewest samples in common: an interval of fewer says nothing."""
_MOST_BY_ID = 0.5


@dataclass(frozen=True, slots=True)
class Side:
    """One scoring of one run and the scorer in question."""

    run: Run
    scores: str
    scorer: str

    @property
    def label(self) -> str:
        """How it is called beside the other."""
        model = self.run.model.id.rstrip("/").rsplit("/", 1)[-1]
        return f"{self.run.name}/{self.scores} ({model})"


@dataclass(frozen=True, slots=True)
class MatchedRows:
    """n samples of both scorings: the first one's ids, sources and tokens, and both scores.

    ``by``: ``id`` or ``prompt``; ``of``: rows of either scoring.
    """

    ids: list[str]
    source: list[str]
    tokens: Floats
    one: Floats
    other: Floats
    by: str
    of: tuple[int, int]

    def __len__(self) -> int:
        """The number of samples in both."""
        return len(self.ids)

    def where(self, chosen: NDArray[np.bool_]) -> MatchedRows:
        """The rows that are (n,) ``chosen``."""
        rows = np.flatnonzero(chosen)
        return replace(
            self,
            ids=[self.ids[i] for i in rows],
            source=[self.source[i] for i in rows],
            tokens=self.tokens[rows],
            one=self.one[rows],
            other=self.other[rows],
        )


def match(one: Side, other: Side) -> MatchedRows:
    """Match the rows of two scorings.

    Raises:
        UserError: a scoring lacks the scorer, or fewer than 30 samples are in both.
    """
    left, right = _table(one), _table(other)
    pairs, by = _by_id(left, right), "id"
    if len(pairs[0]) < _MOST_BY_ID * min(len(left), len(right)):
        by_prompt = _by_prompt(left, right)
        if len(by_prompt[0]) > len(pairs[0]):
            pairs, by = by_prompt, "prompt"
    rows = left.iloc[pairs[0]].reset_index(drop=True)
    scores = right["score"].to_numpy(dtype=np.float64, na_value=np.nan)[pairs[1]]
    own = rows["score"].to_numpy(dtype=np.float64, na_value=np.nan)
    known = np.isfinite(own) & np.isfinite(scores)
    if known.sum() < LEAST:
        raise UserError(
            f"{one.label} and {other.label} have {int(known.sum())} scored samples in common, "
            f"and {LEAST} are needed: score the same data in both"
        )
    rows = rows[known]
    return MatchedRows(
        ids=rows["id"].tolist(),
        source=rows["source"].tolist(),
        tokens=rows["n_tokens"].to_numpy(dtype=np.float64, na_value=np.nan),
        one=own[known],
        other=scores[known],
        by=by,
        of=(len(left), len(right)),
    )


def _table(side: Side) -> pd.DataFrame:
    """id, source, n_tokens, score and prompt (a hash, 0 where unknown) of a scoring."""
    from circuitseer_core.runs.texts import pool_prompts

    known = side.run.scoring(side.scores).scorers
    if side.scorer not in known:
        raise UserError(f"{side.label} has no scorer {side.scorer!r}: choose {', '.join(known)}")
    table = side.run.scores(side.scores, ["id", "source", "n_tokens", side.scorer])
    table = table.rename(columns={side.scorer: "score"})
    table["id"] = table["id"].astype(str)
    table["source"] = table["source"].astype("string").fillna("").astype(str)
    prompts = pool_prompts(side.run, side.scores)
    table["prompt"] = np.zeros(len(table), np.uint64) if prompts is None else prompts
    return table


def _by_id(left: pd.DataFrame, right: pd.DataFrame) -> tuple[Ints, Ints]:
    place = pd.Index(right["id"]).get_indexer(left["id"])
    rows = np.flatnonzero(place >= 0)
    one, other = left["prompt"].to_numpy()[rows], right["prompt"].to_numpy()[place[rows]]
    same = (one == other) | (one == 0) | (other == 0)
    return rows[same], place[rows][same].astype(np.int64)


def _by_prompt(left: pd.DataFrame, right: pd.DataFrame) -> tuple[Ints, Ints]:
    def once(table: pd.DataFrame) -> pd.Series:
        prompts = table["prompt"]
        kept = prompts[(prompts != 0) & ~prompts.duplicated(keep=False)]
        return pd.Series(kept.index, index=kept.to_numpy())

    one, other = once(left.reset_index(drop=True)), once(right.reset_index(drop=True))
    both = one.index.intersection(other.index)
    return one[both].to_numpy(dtype=np.int64), other[both].to_numpy(dtype=np.int64)
