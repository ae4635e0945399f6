"""Scores against one reference of complexity: correlations, plain and with others held fixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Floats
from circuitseer_core.experiments.composition import explained
from circuitseer_core.experiments.intervals import (
    Interval,
    bonferroni_level,
    of_errors,
    of_spearman,
)
from circuitseer_core.experiments.rank_association import RankTable, held_fixed, source_columns
from circuitseer_core.runs.columns import BASELINE_SCORERS, PLAIN_SCORERS, control_columns

LEAST_ROWS = 30
PLAIN, AT_LENGTH, AT_SURFACE = "Spearman", "at fixed length", "at fixed length and surface"
RANDOM_HEADS, ABOVE = "random heads at fixed length", "above random heads"
QUESTIONS = 3
"""More than length, more than surface, more than random heads."""


class Resampling(Protocol):
    """How often to resample, and from which seed."""

    @property
    def bootstraps(self) -> int:
        """Resamples of the rows."""

    @property
    def seed(self) -> int:
        """Their seed."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Every scorer against one reference on ``rows`` rows.

    ``values`` and ``spread`` (scorers, 5): PLAIN … ABOVE and their bootstrap standard errors.
    ``reaching``: of a scorer's control draws at fixed length, how many reach it, and how many there
    are.
    """

    target: str
    rows: int
    scorers: list[str]
    values: Floats
    spread: Floats
    reaching: dict[str, tuple[int, int]]

    def interval(self, scorer: str, measure: str, comparisons: int) -> Interval:
        """Fisher's for a plain correlation, else the estimate with its bootstrap error."""
        at = self.scorers.index(scorer), MEASURES.index(measure)
        level = bonferroni_level(comparisons)
        estimate, error = float(self.values[at]), float(self.spread[at])
        if measure == PLAIN:
            return of_spearman(estimate, self.rows, level)
        return of_errors(estimate, error, level)

    def table(self, comparisons: int) -> pd.DataFrame:
        """part, scorer, target, measure, estimate, low, high, rows: a row a scorer and measure."""
        lines = [
            (
                "association",
                scorer,
                self.target,
                measure,
                interval.estimate,
                interval.low,
                interval.high,
            )
            for scorer in self.scorers
            for measure in MEASURES
            if np.isfinite((interval := self.interval(scorer, measure, comparisons)).estimate)
        ]
        names = ["part", "scorer", "target", "measure", "estimate", "low", "high"]
        return pd.DataFrame(lines, columns=names).assign(rows=self.rows)

    def answers(self, scorer: str) -> dict[str, Any]:
        """The three questions about one scorer, each with its corrected interval."""

        def of(measure: str, comparisons: int) -> list[float]:
            interval = self.interval(scorer, measure, comparisons)
            return [interval.estimate, interval.low, interval.high]

        reach, draws = self.reaching.get(scorer, (0, 0))
        return {
            "spearman": of(PLAIN, 1),
            "random_heads": of(RANDOM_HEADS, 1),
            "beyond_length": of(AT_LENGTH, QUESTIONS),
            "beyond_surface": of(AT_SURFACE, QUESTIONS),
            "beyond_random_heads": of(ABOVE, QUESTIONS),
            "draws": draws,
            "draws_reaching": reach,
        }


MEASURES = (PLAIN, AT_LENGTH, AT_SURFACE, RANDOM_HEADS, ABOVE)


def association(
    frame: pd.DataFrame,
    scorers: Sequence[str],
    target: tuple[str, Floats],
    surface: dict[str, Floats],
    options: Resampling,
) -> Measured | None:
    """Every scorer against one reference; None where too few rows have all numbers."""
    name, values = target
    controls = {s: control_columns(s, frame.columns) for s in scorers}
    wanted = [*scorers, *(column for names in controls.values() for column in names)]
    columns = {column: _floats(frame, column) for column in ["n_tokens", *wanted]}
    use = np.isfinite(values) & np.logical_and.reduce([np.isfinite(v) for v in columns.values()])
    if use.sum() < LEAST_ROWS or np.ptp(values[use]) == 0:
        return None
    groups = source_columns(frame["source"][use].astype("string").fillna("").tolist())
    features = {f"surface {key}": v[use] for key, v in surface.items()}
    table = RankTable(
        {key: v[use] for key, v in columns.items()} | features | {"reference": values[use]}, groups
    )
    work = _Work(table, list(scorers), controls, ["n_tokens", *groups], list(features))
    matrix = table.correlations()
    estimates = work.measures(matrix)
    rng = np.random.default_rng(options.seed)
    draws = np.stack(
        [work.measures(again, rng) for again in table.resampled(options.bootstraps, options.seed)]
    )
    spread = draws.std(axis=0, ddof=1)  # NaN where a resample has no such number
    return Measured(name, int(use.sum()), list(scorers), estimates, spread, work.reaching(matrix))


class _Work:
    """The measures of every scorer, from a correlation matrix."""

    def __init__(
        self,
        table: RankTable,
        scorers: list[str],
        controls: dict[str, list[str]],
        length: list[str],
        surface: list[str],
    ) -> None:
        self.y = int(table.places(["reference"])[0])
        self.own = table.places(scorers)
        self.controls = [table.places(controls[scorer]) for scorer in scorers]
        self.scorers = scorers
        self.length = table.places(length)
        self.surface = table.places([*length, *surface]) if surface else None

    def measures(self, matrix: Floats, rng: np.random.Generator | None = None) -> Floats:
        """(scorers, 5) of MEASURES; with ``rng`` the control draws are resampled too."""
        at_length, draws = self.at_length(matrix)
        at_surface = np.full(len(self.own), np.nan)
        if self.surface is not None:
            at_surface = held_fixed(matrix, self.own, self.y, self.surface)
        random = np.full(len(self.own), np.nan)
        for i, of_draws in enumerate(draws):
            if len(of_draws):
                random[i] = (
                    of_draws if rng is None else rng.choice(of_draws, len(of_draws))
                ).mean()
        plain = matrix[self.own, self.y]
        return np.column_stack([plain, at_length, at_surface, random, at_length - random])

    def at_length(self, matrix: Floats) -> tuple[Floats, list[Floats]]:
        """The reference's correlation with scorers and their control draws, at fixed length."""
        every = held_fixed(matrix, np.concatenate([self.own, *self.controls]), self.y, self.length)
        ends = np.cumsum([len(self.own), *(len(places) for places in self.controls)])
        own, *draws = np.split(every, ends[:-1])
        return own, draws

    def reaching(self, matrix: Floats) -> dict[str, tuple[int, int]]:
        """How many of each scorer's control draws reach it at fixed length, of how many."""
        own, draws = self.at_length(matrix)
        return {
            scorer: (int((of_draws >= own[i]).sum()), len(of_draws))
            for i, (scorer, of_draws) in enumerate(zip(self.scorers, draws, strict=True))
        }


def composition(
    frame: pd.DataFrame, scorers: Sequence[str], surface: dict[str, Floats], options: Resampling
) -> pd.DataFrame:
    """What each score is made of, in the columns of :meth:`Measured.table`.

    ``target`` names the parts: length, surface, both, random heads, baselines, everything.
    """
    lines = []
    baselines = [name for name in BASELINE_SCORERS if name in scorers]
    for scorer in scorers:
        if scorer in PLAIN_SCORERS or scorer in BASELINE_SCORERS:
            continue
        controls = control_columns(scorer, frame.columns)
        every = {n: _floats(frame, n) for n in [scorer, "n_tokens", *controls, *baselines]}
        use = np.logical_and.reduce([np.isfinite(values) for values in every.values()])
        if use.sum() < LEAST_ROWS:
            continue
        known = {name: values[use] for name, values in every.items()}
        look = [values[use] for values in surface.values()]
        parts = {
            "length": [known["n_tokens"]],
            "surface": look,
            "length and surface": [known["n_tokens"], *look] if look else [],
            "random heads": [known[name] for name in controls],
            **{name: [known[name]] for name in baselines},
        }
        parts["everything"] = [
            known["n_tokens"], *look, *(known[n] for n in [*controls, *baselines])
        ]  # fmt: skip
        for part, columns in parts.items():
            if columns:
                share = explained(known[scorer], columns, seed=options.seed)
                line = (scorer, part, share.estimate, share.low, share.high, int(use.sum()))
                lines.append(line)
    names = ["scorer", "target", "estimate", "low", "high", "rows"]
    table = pd.DataFrame(lines, columns=names)
    return table.assign(part="made of", measure="share of rank variance")


def _floats(frame: pd.DataFrame, name: str) -> Floats:
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
