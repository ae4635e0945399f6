"""Fitting to the blind review: which of two samples did a person find harder?

1. A pair is the difference of two samples' columns, with length taken out of both (over the
   samples of the training pairs); logistic regression without an intercept says which is harder.
2. Strength and family of readings are chosen by inner folds of the training pairs.
3. Pairs are held out by a hash of their two prompts, and whatever pair shares a prompt with a
   held-out one is left out of its training. A coin decides half of the pairs rightly.
4. The fits that score rows (scorer.py) each leave out a fold of rows, and every pair with one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from circuitseer_core.aliases import Floats, Index, Ints
from circuitseer_core.calibration.blocks import (
    Block,
    Columns,
    columns_of,
    head_block,
    surface_block,
)
from circuitseer_core.calibration.folds import folds_by_hash, length_basis, numbered
from circuitseer_core.calibration.judge import DRAWS
from circuitseer_core.calibration.linear import LengthOut
from circuitseer_core.calibration.names import HEADS, MIN_PAIRS, PAIRS, PLUS, WORDS, has_heads
from circuitseer_core.calibration.rows import Rows
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.calibration.weights import rounded
from circuitseer_core.errors import UserError
from circuitseer_core.runs.calibration_records import Estimate, Gain, LinearFit
from circuitseer_core.selection.agreement import wilson
from circuitseer_core.selection.review import DECIDED

_STRENGTHS = tuple(10.0**power for power in range(-4, 2))
_INNER = 5


@dataclass(frozen=True, slots=True)
class Pairs:
    """``harder``, ``easier``: (n,) row numbers; ``names``: what a pair's fold is a hash of."""

    harder: Index
    easier: Index
    names: list[str]

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.names)


@dataclass(slots=True)
class PairStudy:
    """What a fit to pairs came to."""

    estimates: list[Estimate]
    gains: list[Gain]
    whole: LinearFit
    fits: list[LinearFit]
    decided: Floats
    """(n,) out-of-fold log odds that the pair was decided as the eye did."""


def decided_pairs(rows: Rows, verdicts: pd.DataFrame) -> Pairs:
    """Pairs with a winner whose samples both have readings; of the same two prompts the latest.

    Raises UserError where there are too few.
    """
    place = {sample: number for number, sample in enumerate(rows.ids)}
    latest: dict[str, tuple[int, int]] = {}
    for left, right, choice in verdicts[["left", "right", "choice"]].itertuples(index=False):
        if choice not in DECIDED or left not in place or right not in place:
            continue
        winner, other = (left, right) if choice == "left" else (right, left)
        both_keys = sorted((rows.keys[place[left]], rows.keys[place[right]]))
        latest["\n".join(both_keys)] = (place[winner], place[other])
    if len(latest) < MIN_PAIRS:
        raise UserError(
            f"{len(latest)} pairs of samples with head readings were decided in the blind review: "
            f"at least {MIN_PAIRS} are needed"
        )
    both = np.array(list(latest.values()), dtype=np.intp)
    return Pairs(both[:, 0], both[:, 1], list(latest))


def pair_study(rows: Rows, pairs: Pairs, settings: CalibrateSettings) -> PairStudy:
    """Fit, judge beside words, looks, length and the paper's scores, and keep the fits."""
    block = head_block(rows, HEADS, rows.heads, settings.families)
    folds = folds_by_hash(pairs.names, settings.folds, settings.seed)
    words = Block(WORDS, (Columns("counts", _word_counts(rows.texts)),))
    blocks = [block, words, surface_block(rows)]
    prompts = numbered(rows.keys)
    odds = {fitted.name: np.zeros(len(pairs)) for fitted in blocks}
    for number in np.unique(folds):
        held_out = np.flatnonzero(folds == number)
        train = _apart(pairs, held_out, prompts)
        for fitted in blocks:
            odds[fitted.name][held_out] = _Fit(rows, pairs, train, fitted).odds(held_out)
    odds[WORDS + PLUS] = odds[WORDS] + odds[HEADS]
    for name in ["length", *(n for n in rows.scorers() if rows.controls(n))]:
        values = rows.tokens if name == "length" else rows.numbers[name]
        odds[name] = values[pairs.harder] - values[pairs.easier]
    row_folds = folds_by_hash(rows.keys, settings.folds, settings.seed)
    fits = []
    for fold in range(settings.folds):
        out = (row_folds[pairs.harder] == fold) | (row_folds[pairs.easier] == fold)
        fit = _Fit(rows, pairs, np.flatnonzero(~out), block)
        fits.append(fit.linear(rows, settings, fold))
    whole = _Fit(rows, pairs, np.arange(len(pairs)), block).linear(rows, settings, None)
    right = {name: (o > 0) + 0.5 * (o == 0) for name, o in odds.items()}
    estimates = [_share(name, r) for name, r in right.items()]
    best = max((n for n in right if not has_heads(n)), key=lambda n: right[n].mean())
    gains = [
        _gap(right, HEADS, best, settings.seed),
        _gap(right, WORDS + PLUS, WORDS, settings.seed),
    ]
    return PairStudy(estimates, gains, whole, fits, odds[HEADS])


class _Fit:
    """Logistic regression on differences of the training pairs' columns."""

    def __init__(self, rows: Rows, pairs: Pairs, train: Index, block: Block) -> None:
        self._pairs = pairs
        samples = np.unique([*pairs.harder[train], *pairs.easier[train]])
        length = LengthOut(rows.tokens[samples])
        basis = length_basis(rows.tokens)
        best = -np.inf
        for variant in block.variants:
            assert isinstance(variant, Columns)
            own = length.residual(variant.values[samples])
            spread = np.where(own.std(0) > 0, own.std(0), np.inf)
            taken = length.coefficients(variant.values[samples])
            flat = (variant.values - basis @ taken) / spread
            model = _logistic(flat[pairs.harder[train]] - flat[pairs.easier[train]])
            if model.best_score_ > best:
                best, self.variant, self._flat = model.best_score_, variant.name, flat
                self._scaled = model.best_estimator_.coef_[0]
                self.weights = self._scaled / spread
                self.length, self.spread = (
                    taken @ self.weights,
                    np.where(spread < np.inf, spread, 0),
                )
                self.strength = float(1 / model.best_params_["C"])

    def odds(self, held_out: Index) -> Floats:
        """Log odds that held-out pairs are decided as they were."""
        gap = self._flat[self._pairs.harder[held_out]] - self._flat[self._pairs.easier[held_out]]
        return np.asarray(gap @ self._scaled)

    def linear(self, rows: Rows, settings: CalibrateSettings, fold: int | None) -> LinearFit:
        """As it is kept."""
        columns = columns_of(self.variant, rows.heads, settings.families)
        return LinearFit(
            fold=fold,
            columns=[(family, *head) for family, head in columns],
            weights=rounded(self.weights),
            length=rounded(self.length),
            spread=rounded(self.spread),
            alpha=self.strength,
        )


def _logistic(gaps: Floats) -> GridSearchCV:
    """Every second pair is turned round, so that both answers are there for every inner fold."""
    turned = np.where(np.arange(len(gaps)) % 2 == 0, 1.0, -1.0)
    model = LogisticRegression(fit_intercept=False, max_iter=500)
    search = GridSearchCV(model, {"C": list(_STRENGTHS)}, cv=_INNER, scoring="neg_log_loss")
    return search.fit(gaps * turned[:, None], turned > 0)


def _apart(pairs: Pairs, held_out: Index, prompts: Ints) -> Index:
    """Pairs that share no prompt with the held-out ones; ``prompts``: (N,) of the rows."""
    harder, easier = prompts[pairs.harder], prompts[pairs.easier]
    seen = np.concatenate((harder[held_out], easier[held_out]))
    return np.flatnonzero(~(np.isin(harder, seen) | np.isin(easier, seen)))


def _word_counts(texts: Sequence[str]) -> Floats:
    """(N, p) ln(1 + count) of words that stand in two texts at least; no verdict is in it."""
    from sklearn.feature_extraction.text import CountVectorizer

    try:
        counts = CountVectorizer(min_df=2, max_features=2_000).fit_transform(texts)
    except ValueError:  # no word stands in two texts
        return np.zeros((len(texts), 1))
    return np.log1p(counts.toarray().astype(np.float64))


def _share(name: str, right: Floats) -> Estimate:
    low, high = wilson(round(float(right.sum())), len(right))
    return Estimate(
        name=name,
        judged=PAIRS,
        value=round(float(right.mean()), 6),
        low=round(low, 6),
        high=round(high, 6),
        rows=len(right),
    )


def _gap(right: dict[str, Floats], name: str, than: str, seed: int) -> Gain:
    """The difference of two shares, with a bootstrap interval over pairs."""
    difference = right[name] - right[than]
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(difference), size=(DRAWS, len(difference)))
    low, high = np.quantile(difference[drawn].mean(1), [0.025, 0.975])
    return Gain(
        name=name,
        than=than,
        judged=PAIRS,
        value=round(float(difference.mean()), 6),
        low=round(float(low), 6),
        high=round(float(high), 6),
    )
