"""What a draw would do, fast enough to follow a dial: a million rows in well under a second.

Nothing is drawn here that ``sampling.draw`` does not draw; only draws under other seeds are not
simulated. Above ``EXACT_ROWS`` rows the overlap with another seed is its expectation: with κ the
smallest key drawn, sample i is drawn with chance π_i = 1 - exp(-exp((log s_i - κ)/τ)), so two draws
share Σπ_i² of Σπ_i samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from circuitseer_core.budgets import choose
from circuitseer_core.candidates import Pool, make_pool
from circuitseer_core.diagnostics import concentration
from circuitseer_core.distributions import Bins, histogram, shared_bins
from circuitseer_core.hashing import remix, to_gumbels
from circuitseer_core.keys import key_order, sampling_keys
from circuitseer_core.sampling import Drawing, budget_tokens
from circuitseer_core.settings import SelectionSettings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EXACT_ROWS = 200_000
PERCENTILE_BINS = 40


@dataclass(frozen=True)
class Effect:
    """A draw in numbers.

    ``concentration``: entropy, ess, ess_share, gini (see diagnostics). ``lift``: mean score over
    the pool's, less 1; None where the pool's mean is not positive. ``overlap_top`` and
    ``overlap_seed``: share of the subset that top-k, and another seed, would also take.
    ``sources``: source, before, after (shares), pool, rows. ``drawn`` (≤ 40,): share drawn
    by percentile of the score. ``score`` and ``length``: (bins, pool counts, subset counts).
    """

    rows: int
    pool_rows: int
    tokens: int
    temperature: float
    concentration: dict[str, float]
    lift: float | None
    top_lift: float | None
    overlap_top: float
    overlap_seed: float
    sources: pd.DataFrame
    drawn: Floats
    score: tuple[Bins, Ints, Ints]
    length: tuple[Bins, Ints, Ints]


def pool_of(
    base: pd.DataFrame,
    score: Floats,
    settings: SelectionSettings,
    text: str,
    prompts: NDArray[np.uint64] | None,
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
    which = text if text in ("response", "full") else "prompt"
    return make_pool(
        frame,
        settings.scorer,
        tokens=budget_tokens(frame, settings, which),  # type: ignore[arg-type]
        prompt=prompts,
    )


def top_rows(drawing: Drawing) -> Ints:
    """The rows that top-k (τ = 0) takes under the same limits; the same for every τ > 0."""
    noise = to_gumbels(drawing.hashes)
    keys = sampling_keys(drawing.weight, noise, 0.0)
    return choose(key_order(keys, noise, drawing.pool.ids), drawing.groups, drawing.limits)


def effect(drawing: Drawing, top: Ints) -> Effect:
    """Reduce a draw to what the Export page shows; ``top`` are the rows of top-k."""
    pool, chosen = drawing.pool, drawing.chosen
    picked = np.zeros(len(pool), dtype=bool)
    picked[chosen] = True
    mean = float(pool.score.mean())
    lengths = pool.length
    return Effect(
        rows=len(chosen),
        pool_rows=len(pool),
        tokens=int(pool.tokens[chosen].sum()),
        temperature=drawing.temperature,
        concentration=concentration(drawing.chances),
        lift=float(pool.score[chosen].mean()) / mean - 1 if mean > 0 else None,
        top_lift=float(pool.score[top].mean()) / mean - 1 if mean > 0 else None,
        overlap_top=float(picked[top].sum()) / len(chosen),
        overlap_seed=_overlap_seed(drawing, picked),
        sources=_sources(pool, chosen),
        drawn=_drawn_share(drawing.weight, picked),
        score=_before_after(pool.score, picked, log=False),
        length=_before_after(lengths, picked, log=bool((lengths > 0).all())),
    )


def _overlap_seed(drawing: Drawing, picked: NDArray[np.bool_]) -> float:
    """Share of the subset that a draw under another seed would take too."""
    temperature = drawing.temperature
    if temperature == 0:
        return 1.0
    k = len(drawing.chosen)
    if len(picked) <= EXACT_ROWS:
        noise = to_gumbels(remix(drawing.hashes, 1))
        keys = sampling_keys(drawing.weight, noise, temperature)
        other = choose(key_order(keys, noise, drawing.pool.ids), drawing.groups, drawing.limits)
        return float(picked[other].sum()) / k
    if np.isinf(temperature):
        return k / len(picked)
    source = drawing.pool.source
    lowest = np.full(len(drawing.pool.names), np.inf)  # strata and caps: each source has its own κ
    finite = drawing.chosen[np.isfinite(drawing.keys[drawing.chosen])]
    np.minimum.at(lowest, source[finite], drawing.keys[finite])
    with np.errstate(divide="ignore", over="ignore"):
        chance = -np.expm1(-np.exp((np.log(drawing.weight) - lowest[source]) / temperature))
    chance[drawing.groups.first] = 1.0
    return float(np.square(chance).sum() / chance.sum())


def _sources(pool: Pool, chosen: Ints) -> pd.DataFrame:
    before = np.bincount(pool.source, minlength=len(pool.names))
    after = np.bincount(pool.source[chosen], minlength=len(pool.names))
    frame = pd.DataFrame(
        {
            "source": pool.names,
            "before": before / max(int(before.sum()), 1),
            "after": after / max(int(after.sum()), 1),
            "pool": before,
            "rows": after,
        }
    )
    found = frame[frame["pool"] > 0].sort_values(["pool", "source"], ascending=[False, True])
    return found.reset_index(drop=True)


def _drawn_share(weight: Floats, picked: NDArray[np.bool_]) -> Floats:
    """Share drawn in bins of equal rows, low scores first; NaN where ties leave one empty.

    At most 40 bins, and no fewer than 50 rows in each: smaller ones would show noise.
    """
    bins = max(5, min(PERCENTILE_BINS, len(weight) // 50))
    edges = np.quantile(weight, np.linspace(0, 1, bins + 1)[1:-1])
    place = np.searchsorted(edges, weight, side="right")
    rows = np.bincount(place, minlength=bins)
    drawn = np.bincount(place[picked], minlength=bins)
    with np.errstate(invalid="ignore"):
        return drawn / np.where(rows > 0, rows, np.nan)


def _before_after(
    values: Floats, picked: NDArray[np.bool_], *, log: bool
) -> tuple[Bins, Ints, Ints]:
    bins = shared_bins(values, PERCENTILE_BINS, log=log)
    both = histogram(values, picked.astype(np.int32), 2, bins)
    return bins, both.sum(axis=0), both[1]
