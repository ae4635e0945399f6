"""From an attention profile to a score: pure functions of numbers, no model.

For one sample of T tokens, with A^h the attention of head h and H the set of reasoning heads:

1. Profile: m_j = (1/T) sum_i mean_{h in H} A^h_ij, the mean attention that token j receives; it
   sums to 1. Received attention a_j = T m_j is the same in units of the uniform share (mean 1).
2. ``variance`` = Var_j(a_j) = T^2 Var_j(m_j), population: the variance, over tokens, of the mean
   attention of the reasoning heads (arXiv 2510.18470 scores samples so; its text does not fix the
   normalisation). ``raw_variance`` = Var_j(m_j), the other literal reading.
3. ``focus``: leave out the first token (the attention sink) and special tokens, renormalise to sum
   1 over the n kept: x. Score n^2 Var(x).
4. ``divergence``: w is the profile that the same heads would have under undifferentiated attention
   (arXiv 2410.13708, eq. 7), restricted and renormalised likewise. Score sum_j (x_j - w_j)^2 / w_j:
   the chi-square distance from undifferentiated attention; 0 where heads do not differentiate.

Axes: B samples, G groups of heads, T tokens (right-padded).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.hashing import uniforms
from circuitseer_core.runs.columns import ATTENTION_SCORERS, INFLUENCE

SINK_SCORERS = ("variance", "raw_variance")
"""Attention scorers that count the first token."""
HEAD_SCORERS = (*ATTENTION_SCORERS, INFLUENCE)
"""Scorers that depend on the choice of heads, and so may have random-head controls."""
MIN_KEPT = 2
"""Fewest tokens, besides the first and special ones, over which a variance means anything."""


def kept_tokens(lengths: Ints, special: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(B, T): the tokens that ``focus`` and ``divergence`` look at.

    Args:
        lengths: (B,) real tokens of each sample.
        special: (B, T) the tokenizer's special tokens.
    """
    position = np.arange(special.shape[1])
    return (position < lengths[:, None]) & (position > 0) & ~special


def attention_scores(
    profiles: NDArray[np.float32],
    flat: NDArray[np.float32],
    lengths: Ints,
    special: NDArray[np.bool_],
) -> dict[str, Floats]:
    """Every attention scorer of B samples and G groups of heads, in float64.

    Args:
        profiles: (B, G, T) attention profiles; padding is ignored.
        flat: (B, G, T) the same heads' undifferentiated profiles.
        lengths: (B,) real tokens of each sample.
        special: (B, T) the tokenizer's special tokens.

    Returns:
        name -> (B, G). All NaN for a sample with fewer than two kept tokens, and NaN or infinite
        where the profile is: the caller rejects those samples.
    """
    tokens = lengths[:, None].astype(np.float64)  # (B, 1)
    real = np.arange(special.shape[1]) < lengths[:, None]
    kept = kept_tokens(lengths, special)
    n = kept.sum(-1, dtype=np.float64)[:, None]
    with np.errstate(all="ignore"):
        raw = _variance(profiles, real, tokens)
        x = _renormalised(profiles, kept)
        w = _renormalised(flat, kept)
        gap = np.divide((x - w) ** 2, w, out=np.zeros_like(x), where=kept[:, None])
        scores = {
            "variance": tokens**2 * raw,
            "raw_variance": raw,
            "focus": n**2 * _variance(x, kept, n),
            "divergence": gap.sum(-1),
        }
    enough = n >= MIN_KEPT
    return {name: np.where(enough, value, np.nan) for name, value in scores.items()}


def sink_share(profiles: NDArray[np.floating], lengths: Ints) -> Floats:
    """(B,) share of ``variance`` that the first token makes, of (B, T) profiles.

    With a_j = T m_j: (a_0 - 1)^2 / sum_j (a_j - 1)^2. The first token is the attention sink of most
    heads, so this is near 1 where the score says little else than how strong the sink is. NaN for a
    profile without any variance.
    """
    tokens = lengths.astype(np.float64)
    real = np.arange(profiles.shape[1]) < lengths[:, None]
    gap = np.where(real, tokens[:, None] * profiles.astype(np.float64) - 1, 0.0) ** 2
    whole = gap.sum(axis=1)
    return np.divide(gap[:, 0], whole, out=np.full(len(whole), np.nan), where=whole > 0)


def random_scores(seed: int, ids: Sequence[str]) -> Floats:
    """(B,) uniform numbers, a hash of (seed, id): independent of the noise that draws subsets."""
    return uniforms(seed, "random-scorer", ids)


def _variance(values: NDArray[np.floating], mask: NDArray[np.bool_], n: Floats) -> Floats:
    """Population variance over the masked tokens: (B, G) of values (B, G, T), n (B, 1)."""
    inside = np.where(mask[:, None], values.astype(np.float64), 0.0)
    mean = inside.sum(-1) / n
    deviation = np.where(mask[:, None], inside - mean[..., None], 0.0)
    return np.asarray((deviation**2).sum(-1) / n)


def _renormalised(values: NDArray[np.floating], mask: NDArray[np.bool_]) -> Floats:
    """(B, G, T): the masked tokens' values, summing to 1; 0 elsewhere."""
    inside = np.where(mask[:, None], values.astype(np.float64), 0.0)
    return np.asarray(inside / inside.sum(-1, keepdims=True))
