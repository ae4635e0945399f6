"""Scores to subset: settings, and the draw from beginning to end.

1. Sift the pool: exclusions, missing scores, duplicates (sift.py).
2. Take length out of the scores if asked (length_control.py); mirror them for the lowest.
3. Fix the temperature, given or found for a target effective sample size.
4. Key every sample and sort (gumbel.py); ``key_i = log s_i + τ·g_i``.
5. Take keys from the top until the budget, its strata and its caps are met (budgets.py).

Nothing here needs a model library: ``select`` works on a frame or on Parquet files on a laptop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuitseer_core.aliases import Floats, Hashes, Ints
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import to_gumbels
from circuitseer_core.runs.selection_records import LengthTarget
from circuitseer_core.selection.budgets import Limits, Strata, choose, enough, rows_of
from circuitseer_core.selection.gumbel import (
    draw_hashes,
    key_order,
    probabilities,
    sampling_keys,
    temperature_for,
)
from circuitseer_core.selection.length_control import control_length
from circuitseer_core.selection.length_target import length_bins
from circuitseer_core.selection.pool import Pool
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.selection.sift import Rules, Sifted, check_unique, sift
from circuitseer_core.wording import count


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished draw and all that its diagnostics need.

    ``pool`` holds the n eligible rows and ``where`` (n,) their row numbers in the frame they came
    from. ``weight`` (n,): scores after length control, mirrored where the lowest were asked for.
    ``hashes``, ``keys``, ``chances`` (n,). ``chosen`` (k,): rows of ``pool`` in rank order.
    """

    pool: Pool
    where: Ints
    sifted: Sifted
    weight: Floats
    hashes: Hashes
    keys: Floats
    chances: Floats
    chosen: Ints
    temperature: float
    strata: Strata
    limits: Limits

    @property
    def rows(self) -> Ints:
        """(k,) chosen rows of the original frame, in rank order."""
        return self.where[self.chosen]


def draw(
    everyone: Pool,
    settings: SelectionSettings,
    rules: Rules,
    *,
    target: LengthTarget | None = None,
    sifted: Sifted | None = None,
    hashes: Hashes | None = None,
    every_must: bool = True,
) -> Drawing:
    """Draw a subset; see the head of this module.

    ``target``: the lengths to draw, where the settings name a selection to match. ``sifted`` (of
    this pool and these rules) and ``hashes`` (N,) (``draw_hashes`` of all ids under
    this seed, checked for twins) save their time to callers who draw again and again.
    ``every_must``: refuse lengths that leave a must-have out; draws of before left it out unsaid.

    Raises:
        UserError: nothing is left to draw from, the budget cannot be met, scores are negative,
            ids repeat, or the must-haves alone exceed the budget or the rows of their length.
    """
    sifted = sift(everyone, rules) if sifted is None else sifted
    where = np.flatnonzero(sifted.reason == 0)
    if not len(where):
        raise UserError(f"nothing is left to draw from: {_explain(sifted.counts)}")
    pool = everyone if len(where) == len(everyone) else everyone.take(where)
    weight = _weights(pool, settings)
    temperature = settings.temperature
    if settings.target_ess is not None:
        temperature = temperature_for(weight, settings.target_ess)
    if hashes is None:
        hashes = draw_hashes(pool.ids, settings.seed)
        check_unique(pool.ids, hashes)
    else:
        hashes = hashes[where]
    noise = to_gumbels(hashes)
    keys = sampling_keys(weight, noise, temperature)
    limits = _limits(settings, len(pool), target)
    bins = None if target is None else length_bins(pool.tokens, target.edges)
    strata = Strata(
        source=pool.source,
        tokens=pool.tokens,
        first=sifted.first[where],
        count=len(pool.names),
        length=bins,
        stratum=pool.stratum,
        strata=len(pool.strata),
    )
    order = key_order(keys, noise, pool.ids, top=enough(strata, limits))
    del noise
    chosen = choose(order, strata, limits)
    if not len(chosen):
        raise UserError(_too_small(limits, int(pool.tokens[order[0]])))
    if every_must:
        _refuse_lost_musts(strata, chosen, settings)
    chances = probabilities(weight, temperature)
    return Drawing(
        pool, where, sifted, weight, hashes, keys, chances, chosen, temperature, strata, limits
    )


def _weights(pool: Pool, settings: SelectionSettings) -> Floats:
    """The scores (N,) as the draw weighs them: at fixed length, or mirrored, where asked for."""
    weight = pool.score
    if settings.length_control == "within-bins":
        if not np.isfinite(pool.length).all() or not pool.length.any():
            raise UserError("length control needs the token count of every sample (n_tokens)")
        weight = control_length(pool.score, pool.length)
    if settings.lowest:
        weight = (weight.max() + weight.min()) - weight
    return weight


def _limits(settings: SelectionSettings, n: int, target: LengthTarget | None) -> Limits:
    if settings.match_lengths is not None:
        if target is None:
            raise UserError("match-lengths needs a run that has the selection to match")
        return Limits(by_length=tuple(target.rows))
    rows = settings.count
    if settings.share is not None:
        rows = rows_of(settings.share, n)
    if rows is not None and rows > n:
        raise UserError(f"{rows} samples were asked for and {n} can be drawn")
    return Limits(rows, settings.tokens, settings.stratify, settings.max_per_source)


def _refuse_lost_musts(strata: Strata, chosen: Ints, settings: SelectionSettings) -> None:
    """Raise UserError where the lengths to be matched have no room for a must-have."""
    lost = int(strata.first.sum()) - int(strata.first[chosen].sum())
    if lost:
        raise UserError(
            f"{count(lost, 'sample')} to include {'is' if lost == 1 else 'are'} more than "
            f"selection {settings.match_lengths!r} has of that length: drop match-lengths or them"
        )


def _too_small(limits: Limits, first: int) -> str:
    return (
        f"the budget of {limits.tokens} tokens is smaller than the first sample drawn "
        f"({first} tokens)"
    )


def _explain(counts: dict[str, int]) -> str:
    kinds = {name: n for name, n in counts.items() if n and name not in ("rows", "eligible")}
    parts = [f"{n} {name.replace('_', ' ')}" for name, n in kinds.items()]
    return f"of {counts['rows']} rows, {', '.join(parts) or 'none'}"
