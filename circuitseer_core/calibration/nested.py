"""Out-of-fold predictions: for every fold, fit on the other rows, choose there, predict the fold.

1. Targets become mid-ranks among the training rows (within their source, where sources go out).
2. Every variant of a block is fitted; the one with the least leave-one-out error is taken, for
   every target by itself. Permuted targets so make the same choices as the true one.
3. Blocks are stacked by what their inner predictions are worth beside each other.

Nothing of a held-out row but its columns and its length is used for its prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats
from circuitseer_core.calibration.blocks import Block, Index
from circuitseer_core.calibration.folds import length_basis, share_ranks
from circuitseer_core.calibration.linear import LengthOut, RidgeFit, Training, stacked


@dataclass(frozen=True, slots=True)
class Design:
    """What is predicted of N rows, at which length.

    ``target``: (N,); ``permuted``: (N, P) the same in other orders, for the first block alone;
    ``source``: (N,) numbers, where differences between sources go out too, else None.
    """

    target: Floats
    tokens: Floats
    permuted: Floats
    source: NDArray[np.int64] | None = None


@dataclass(slots=True)
class OutOfFold:
    """Predictions of N rows, NaN where a row is in no fold.

    ``blocks``: block or stack -> (N,); ``variants``: block -> variant -> (N,); ``permuted``: (N, P)
    of the first block; ``chosen``: the first block's variant, and ``fits`` its fit, fold by fold.
    """

    blocks: dict[str, Floats] = field(default_factory=dict)
    variants: dict[str, dict[str, Floats]] = field(default_factory=dict)
    permuted: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    chosen: list[str] = field(default_factory=list)
    fits: list[RidgeFit] = field(default_factory=list)


def out_of_fold(
    blocks: Sequence[Block],
    stacks: Mapping[str, Sequence[str]],
    design: Design,
    folds: NDArray[np.int64],
    on_fold: Callable[[], None] = lambda: None,
) -> OutOfFold:
    """Predict every fold from the others.

    Args:
        blocks: what to fit; the first is fitted to the permuted targets as well.
        stacks: name -> blocks that are to be weighed against each other.
        folds: (N,) fold of each row.
    """
    n = len(design.target)
    result = OutOfFold(permuted=np.full(design.permuted.shape, np.nan))
    for number in np.unique(folds):
        train, held = np.flatnonzero(folds != number), np.flatnonzero(folds == number)
        fits: dict[str, RidgeFit] = {}
        for block in blocks:
            training = prepared(design, train, held, permuted=block is blocks[0])
            variants = [variant.fit(train, held, training) for variant in block.variants]
            for variant, fit in zip(block.variants, variants, strict=True):
                kept = result.variants.setdefault(block.name, {})
                kept.setdefault(variant.name, np.full(n, np.nan))[held] = fit.held[:, 0]
            best, fit = least_error(variants)
            fits[block.name] = fit
            result.blocks.setdefault(block.name, np.full(n, np.nan))[held] = fit.held[:, 0]
            if block is blocks[0]:
                result.permuted[held] = fit.held[:, 1:]
                result.chosen.append(block.variants[best].name)
                result.fits.append(variants[best])
        for name, members in stacks.items():
            _, predicted = stacked([fits[m] for m in members], training.targets[:, 0])
            result.blocks.setdefault(name, np.full(n, np.nan))[held] = predicted
        on_fold()
    return result


def prepared(design: Design, train: Index, held: Index, *, permuted: bool) -> Training:
    """Length and target as the training rows of one fold have them."""
    source = None if design.source is None else design.source[train]
    out = LengthOut(design.tokens[train], source)
    targets = design.target[train, None]
    if permuted:
        targets = np.hstack([targets, design.permuted[train]])
    ranked = np.column_stack([share_ranks(column, source) for column in targets.T])
    return Training(out, length_basis(design.tokens[held]), out.residual(ranked))


def least_error(fits: Sequence[RidgeFit]) -> tuple[int, RidgeFit]:
    """Which fit has the least inner error of the first target, and of every target the best fit's
    predictions (its weights are of no use where targets chose differently)."""
    errors = np.stack([fit.error for fit in fits])  # (k, t)
    best = errors.argmin(0)
    pick = np.arange(errors.shape[1])
    first = fits[int(best[0])]
    return int(best[0]), RidgeFit(
        inner=np.stack([fit.inner for fit in fits])[best, :, pick].T,
        held=np.stack([fit.held for fit in fits])[best, :, pick].T,
        error=errors[best, pick],
        weights=first.weights,
        length=first.length,
        spread=first.spread,
        alpha=first.alpha,
    )
