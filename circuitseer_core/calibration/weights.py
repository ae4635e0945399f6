"""Fits as they are kept: columns, weights per unit of a reading, and the length to take off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.calibration.blocks import Block, columns_of
from circuitseer_core.calibration.linear import RidgeFit
from circuitseer_core.calibration.nested import Design, OutOfFold, chosen_fit, prepared
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.runs.calibration_records import HeadShare, LinearFit

_DIGITS = 9


def linear_fit(
    fit: RidgeFit,
    variant: str,
    heads: Sequence[Head],
    settings: CalibrateSettings,
    fold: int | None,
) -> LinearFit:
    """The first target's weights, zeros left out, rounded: what is written is what is used."""
    columns = columns_of(variant, heads, settings.families)
    weights = fit.weights[:, 0]
    kept = np.flatnonzero(weights)
    return LinearFit(
        fold=fold,
        columns=[(columns[i][0], *columns[i][1]) for i in kept],
        weights=rounded(weights[kept]),
        length=rounded(fit.length[:, 0]),
        spread=rounded(fit.spread[kept]),
        alpha=float(fit.alpha[0]),
    )


def fold_fits(
    predicted: OutOfFold,
    folds: Sequence[int],
    heads: Sequence[Head],
    settings: CalibrateSettings,
) -> list[LinearFit]:
    """One fit a fold, in order."""
    return [
        linear_fit(fit, variant, heads, settings, fold)
        for fold, variant, fit in zip(folds, predicted.chosen, predicted.fits, strict=True)
    ]


def whole_fit(
    block: Block, design: Design, heads: Sequence[Head], settings: CalibrateSettings
) -> LinearFit:
    """The fit to every row: which heads carry it. It scores nothing that it was fitted to."""
    everyone, nobody = np.arange(len(design.target)), np.arange(0)
    training = prepared(design, everyone, nobody, permuted=False)
    fits = [variant.fit(everyone, nobody, training) for variant in block.variants]
    variant, fit = chosen_fit(block, fits, training.targets)
    return linear_fit(fit, variant, heads, settings, None)


def every_fold(fits: Sequence[LinearFit], whole: LinearFit, folds: int) -> list[LinearFit]:
    """A fit for each of the folds: the whole one where no row with a target is in a fold.

    It saw no row of that fold, whose rows without a target are scored all the same.
    """
    by_fold = {fit.fold: fit for fit in fits}
    return [
        by_fold.get(number) or whole.model_copy(update={"fold": number}) for number in range(folds)
    ]


def head_shares(whole: LinearFit, fits: Sequence[LinearFit]) -> list[HeadShare]:
    """Heads with a weight in any fit, heaviest first."""
    squares: dict[Head, float] = {}
    for (_, layer, head), weight, spread in zip(
        whole.columns, whole.weights, whole.spread, strict=True
    ):
        squares[layer, head] = squares.get((layer, head), 0.0) + (weight * spread) ** 2
    signs: dict[Head, float] = {}
    if len({family for family, _, _ in whole.columns}) == 1:  # one reading a head has a sign
        for (_, layer, head), weight in zip(whole.columns, whole.weights, strict=True):
            signs[layer, head] = float(np.sign(weight))
    counts: dict[Head, int] = {}
    for fit in fits:
        for pair in {(layer, head) for _, layer, head in fit.columns}:
            counts[pair] = counts.get(pair, 0) + 1
    shares = [
        HeadShare(
            layer=pair[0],
            head=pair[1],
            folds=counts.get(pair, 0) / max(1, len(fits)),
            weight=round(signs.get(pair, 1.0) * squares.get(pair, 0.0) ** 0.5, _DIGITS),
        )
        for pair in sorted({*squares, *counts})
    ]
    return sorted(shares, key=lambda share: -abs(share.weight))


def rounded(values: Floats) -> list[float]:
    """As they are kept."""
    return [float(f"{value:.{_DIGITS}g}") for value in values]
