"""Out-of-fold predictions: for every fold, fit on the other rows, choose there, predict the fold.

1. Targets become mid-ranks among the training rows (within their source, where sources go out).
2. Every variant of a block is fitted, and one is taken by leave-one-out errors, for every target
   by itself. Permuted targets so make the same choices as the true one.
3. Blocks are combined by adding their predictions: each is shrunk by what its own inner errors say
   it is worth.

Nothing of a held-out row but its columns and its length is used for its prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from circuitseer_core.aliases import Floats, Index, Ints
from circuitseer_core.calibration.blocks import BLEND, EVERY, Block
from circuitseer_core.calibration.folds import length_basis, share_ranks
from circuitseer_core.calibration.linear import LengthOut, RidgeFit, Training

_FEWEST = 3
"""Rows of a fit at least: as many as the form of length has terms."""


@dataclass(frozen=True, slots=True)
class Design:
    """What is predicted of N rows, at which length.

    ``target``: (N,); ``permuted``: (N, P) the same in other orders, for the first block alone;
    ``source``: (N,) numbers, where differences between sources go out too, else None.
    ``prompt``: (N,) numbers of their prompts: no fit sees a prompt that it predicts. None where
    each row has one of its own.
    """

    target: Floats
    tokens: Floats
    permuted: Floats
    source: Ints | None = None
    prompt: Ints | None = None

    def apart(self, held_out: Index) -> Index:
        """Rows that share no prompt with the held-out ones."""
        if self.prompt is None:
            return np.setdiff1d(np.arange(len(self.target)), held_out)
        return np.flatnonzero(~np.isin(self.prompt, self.prompt[held_out]))


@dataclass(slots=True)
class OutOfFold:
    """Predictions of N rows.

    ``blocks``: block or sum of blocks -> (N,); ``variants``: block -> variant -> (N,);
    ``permuted``: (N, P) of the first block; ``chosen``: the first block's variant, and ``fits``
    its fit, fold by fold.
    """

    blocks: dict[str, Floats] = field(default_factory=dict)
    variants: dict[str, dict[str, Floats]] = field(default_factory=dict)
    permuted: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    chosen: list[str] = field(default_factory=list)
    fits: list[RidgeFit] = field(default_factory=list)


def out_of_fold(
    blocks: Sequence[Block],
    sums: Mapping[str, Sequence[str]],
    design: Design,
    folds: Ints,
    on_fold: Callable[[], None] = lambda: None,
) -> OutOfFold:
    """Predict every fold from the others.

    Args:
        blocks: what to fit; the first is fitted to the permuted targets as well.
        sums: name -> blocks whose predictions are added.
        folds: (N,) fold of each row. A fold without rows to fit on is predicted by nothing (NaN).
    """
    n = len(design.target)
    result = OutOfFold(permuted=np.full(design.permuted.shape, np.nan))
    for block in blocks:
        result.blocks[block.name] = np.full(n, np.nan)
        result.variants[block.name] = {v.name: np.full(n, np.nan) for v in block.variants}
    result.blocks |= {name: np.full(n, np.nan) for name in sums}
    for number in np.unique(folds):
        held_out = np.flatnonzero(folds == number)
        train = design.apart(held_out)
        if len(train) < _FEWEST:  # the same prompts under two names of a source
            on_fold()
            continue
        fits: dict[str, RidgeFit] = {}
        for block in blocks:
            training = prepared(design, train, held_out, permuted=block is blocks[0])
            variants = [variant.fit(train, held_out, training) for variant in block.variants]
            for variant, fit in zip(block.variants, variants, strict=True):
                result.variants[block.name][variant.name][held_out] = fit.held_out[:, 0]
            variant_name, fit = chosen_fit(block, variants, training.targets)
            fits[block.name] = fit
            result.blocks[block.name][held_out] = fit.held_out[:, 0]
            if block is blocks[0]:
                result.permuted[held_out] = fit.held_out[:, 1:]
                result.chosen.append(variant_name)
                result.fits.append(fit)
        for name, members in sums.items():
            together = np.sum([fits[member].held_out[:, 0] for member in members], axis=0)
            result.blocks[name][held_out] = together
        on_fold()
    return result


def prepared(design: Design, train: Index, held_out: Index, *, permuted: bool) -> Training:
    """Length and target as the training rows of one fold have them."""
    source = None if design.source is None else design.source[train]
    out = LengthOut(design.tokens[train], source)
    targets = design.target[train, None]
    if permuted:
        targets = np.hstack([targets, design.permuted[train]])
    ranked = np.column_stack([share_ranks(column, source) for column in targets.T])
    return Training(out, length_basis(design.tokens[held_out]), out.residual(ranked))


def chosen_fit(block: Block, fits: Sequence[RidgeFit], targets: Floats) -> tuple[str, RidgeFit]:
    """The variant that is taken for the first target, and of every target the taken fit's numbers
    (weights and all that goes with them are of the first target's).

    The variant of the least inner error, or, in a block with a blend, the blend: unless another's
    error is less by more than a standard error of the difference. Between families of readings
    chance would choose otherwise (docs/decisions.md).
    """
    names = [variant.name for variant in block.variants]
    errors = np.stack([fit.error for fit in fits])  # (k, t)
    best = errors.argmin(0)
    if block.blended:
        mixed = blend([fit for name, fit in zip(names, fits, strict=True) if name != EVERY])
        fits, names = [*fits, mixed], [*names, BLEND]
        pick = np.arange(errors.shape[1])
        inner = np.stack([fit.inner for fit in fits])[best, :, pick].T
        gain = (targets - mixed.inner) ** 2 - (targets - inner) ** 2  # (n, t)
        sure = gain.mean(0) > gain.std(0) / np.sqrt(len(gain))
        best = np.where(sure, best, len(names) - 1)
    pick = np.arange(errors.shape[1])
    first = fits[int(best[0])]
    taken = RidgeFit(
        inner=np.stack([fit.inner for fit in fits])[best, :, pick].T,
        held_out=np.stack([fit.held_out for fit in fits])[best, :, pick].T,
        error=np.stack([fit.error for fit in fits])[best, pick],
        weights=first.weights,
        length=first.length,
        spread=first.spread,
        alpha=first.alpha,
    )
    return names[int(best[0])], taken


def blend(fits: Sequence[RidgeFit]) -> RidgeFit:
    """The mean of several fits' predictions, as one fit to their columns side by side.

    Its ``error`` is not set: errors of blends are taken against targets (:func:`chosen_fit`).
    """
    k = len(fits)
    return RidgeFit(
        inner=np.mean([fit.inner for fit in fits], axis=0),
        held_out=np.mean([fit.held_out for fit in fits], axis=0),
        error=np.mean([fit.error for fit in fits], axis=0),
        weights=np.concatenate([fit.weights for fit in fits]) / k,
        length=np.mean([fit.length for fit in fits], axis=0),
        spread=np.concatenate([fit.spread for fit in fits]),
        alpha=np.exp(np.mean([np.log(fit.alpha) for fit in fits], axis=0)),
    )
