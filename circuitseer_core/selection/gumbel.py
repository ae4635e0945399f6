"""The draw: scores in, an order out.

Soft sampling draws without replacement with chances p_i ∝ s_i^(1/τ). Drawing one by one would
need the remaining mass after every draw; the Gumbel-top-k identity (Vieira 2014; Kool et al.,
arXiv 1903.06059) does it in one sort:

1. g_i = -log(-log u_i), where u_i is a hash of (seed, id): noise that belongs to the sample.
2. key_i = log s_i + τ·g_i. At τ = 0 the score itself orders the pool (top-k) and g_i breaks ties;
   at τ = ∞ the key is g_i (uniform). A zero score has key -∞: last, among themselves by g_i.
3. Take keys from the largest down until the budget is met.

Because each key depends on its own sample only, the subset cannot depend on row order, on shards or
on how many machines scored the data. Sums that feed anything written to disk run over *sorted*
values, so that they too are the same for any order of rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats, Hashes, Ints
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import id_hashes, reseed

DRAW_DOMAIN = "select"
_HASH_CHUNK = 1 << 18
_TEMPERATURES = (1e-9, 1e6)


def pool_hashes(ids: Sequence[str]) -> Hashes:
    """(N,) ``id_hashes`` of a pool, in chunks so that 10 million ids fit."""
    parts = [
        id_hashes(_as_list(ids[start : start + _HASH_CHUNK]))
        for start in range(0, len(ids), _HASH_CHUNK)
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def draw_hashes(ids: Sequence[str], seed: int, domain: str = DRAW_DOMAIN) -> Hashes:
    """(N,) hashes that carry the draw's randomness: ``reseed`` of ``pool_hashes``."""
    return reseed(pool_hashes(ids), seed, domain)


def sampling_keys(scores: Floats, noise: Floats, temperature: float) -> Floats:
    """(N,) keys; larger means drawn earlier.

    Args:
        scores: (N,) finite scores.
        noise: (N,) Gumbel noise g.
        temperature: τ ≥ 0; ``inf`` for a uniform draw.

    Raises:
        UserError: a score is negative and 0 < τ < ∞, where s^(1/τ) is not defined.
    """
    if np.isinf(temperature):
        return noise.copy()
    if temperature == 0:
        return scores.astype(np.float64, copy=True)
    check_nonnegative(scores)
    with np.errstate(divide="ignore"):
        keys: Floats = np.log(scores)
    keys += temperature * noise  # zero scores stay at -inf
    return keys


def check_nonnegative(scores: Floats) -> None:
    """Raise UserError where soft sampling meets a negative score."""
    negative = int(np.count_nonzero(scores < 0))
    if negative:
        raise UserError(
            f"{negative} scores are negative, and soft sampling needs scores of at least 0: "
            "use temperature 0 (top-k) or inf (uniform), or another scorer"
        )


def key_order(
    keys: Floats, noise: Floats, ids: Sequence[str] | None = None, *, top: int | None = None
) -> Ints:
    """Row numbers, largest key first; equal keys by noise, equal noise by id.

    Simulated draws, which nobody has to repeat, go without ``ids``. With ``top`` only as many rows
    (and those that tie with the last of them) are sorted and returned: all that a count needs.
    """
    rows = np.arange(len(keys))
    if top is not None and 0 < top < len(keys):
        edge = np.partition(keys, len(keys) - top)[len(keys) - top]
        rows = np.flatnonzero(keys >= edge)
    order = rows[np.argsort(-keys[rows])]  # not stable: ties are put in order below
    runs = _equal_runs(keys[order])
    if runs is None:
        return order
    where, run = runs
    tied = order[where]
    tied = tied[np.lexsort((-noise[tied], run))]
    order[where] = tied
    if ids is None:
        return order
    # Two ids share their noise about once in 1e4 pools of a million: cheap, but then exact.
    same_noise = (np.diff(noise[tied]) == 0) & (np.diff(run) == 0)
    for first, last in _spans(same_noise):
        span = where[first : last + 1]
        order[span] = sorted(order[span], key=lambda row: str(ids[row]))
    return order


def log_weights(scores: Floats, temperature: float) -> Floats:
    """(N,) log of the chances relative to the likeliest sample: (log s - log max s)/τ.

    Where every score is 0 the draw is uniform (ordered by noise alone), so all are 0.
    """
    if np.isinf(temperature) or not len(scores):
        return np.zeros(len(scores))
    top = scores.max()
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        if temperature == 0:
            return np.where(scores == top, 0.0, -np.inf)
        check_nonnegative(scores)
        if top == 0:
            return np.zeros(len(scores))
        logs: Floats = np.log(scores)
        logs -= np.log(top)
        logs /= temperature
    return logs


def probabilities(scores: Floats, temperature: float) -> Floats:
    """(N,) chance of each sample to be the *first* one drawn; sums to 1."""
    weights = np.exp(log_weights(scores, temperature))
    weights /= np.sort(weights).sum()
    return weights


def effective_size(chances: Floats) -> float:
    """Effective sample size 1/Σp²: N for a uniform draw, 1 where one sample takes all."""
    return float(1.0 / np.sort(chances**2).sum())


def temperature_for(scores: Floats, share: float) -> float:
    """τ at which the effective sample size is ``share`` of the N rows, to 6 digits.

    ESS grows with τ, from the number of samples that tie for the highest score (τ → 0) to the
    number of positive ones (τ → ∞), so bisection finds it.

    Raises:
        UserError: more than the positive scores' share is asked for, or scores are negative.
    """
    if share >= 1:
        return float("inf")
    check_nonnegative(scores)
    target = share * len(scores)
    positive = scores[scores > 0]
    if target > len(positive):
        raise UserError(
            f"an effective sample size of {share:g} of {len(scores)} rows cannot be reached: "
            f"only {len(positive)} scores are above 0"
        )
    if target <= np.count_nonzero(positive == positive.max(initial=0.0)):
        return 0.0
    logs = np.sort(np.log(positive))
    logs -= logs[-1]
    low, high = (float(np.log(t)) for t in _TEMPERATURES)
    while high - low > 1e-7:
        middle = (low + high) / 2
        weights = np.exp(logs / np.exp(middle))
        size = weights.sum() ** 2 / np.square(weights, out=weights).sum()
        low, high = (middle, high) if size < target else (low, middle)
    return float(f"{np.exp(high):.6g}")


def _as_list(ids: Sequence[str]) -> Sequence[str]:
    """Python strings at once: iterating Arrow-backed pandas strings one by one is far slower."""
    if isinstance(ids, list):
        return ids
    tolist = getattr(ids, "tolist", None)
    return list(ids) if tolist is None else tolist()


def _equal_runs(ordered: Floats) -> tuple[Ints, Ints] | None:
    """Positions inside runs of equal neighbours, and the run each belongs to; None without ties."""
    same = ordered[1:] == ordered[:-1]
    if not same.any():
        return None
    inside = np.zeros(len(ordered), dtype=bool)
    inside[1:] = same
    inside[:-1] |= same
    where = np.flatnonzero(inside)
    starts = np.ones(len(ordered), dtype=bool)
    starts[1:] = ~same
    return where, np.cumsum(starts)[where]


def _spans(joined: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, last) of every stretch of linked neighbours; joined[i] links i and i+1."""
    padded = np.concatenate(([False], joined, [False])).astype(np.int8)
    steps = np.diff(padded)
    return list(zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True))
