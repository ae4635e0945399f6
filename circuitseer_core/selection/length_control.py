"""Length control: a score's rank within its length bin, on the scale of the pool's scores."""

from __future__ import annotations

import numpy as np

from circuitseer_core.aliases import Floats

LENGTH_BINS = 10


def control_length(scores: Floats, lengths: Floats, bins: int = LENGTH_BINS) -> Floats:
    """(N,) scores with length taken out and the strength of the draw left as it was.

    Within its token-count quantile bin a sample's mid-rank is mapped to the same quantile of all
    scores (Hazen positions, linear between neighbours): every bin then has the pool's distribution
    of scores. With one bin nothing changes. Equal lengths always share a bin.
    """
    edges = np.quantile(lengths, np.linspace(0, 1, bins + 1)[1:-1])
    code = np.searchsorted(np.unique(edges), lengths, side="right")
    pool = np.sort(scores)
    spots = np.arange(len(pool), dtype=np.float64)
    controlled = np.empty_like(scores, dtype=np.float64)
    for number in range(int(code.max(initial=0)) + 1):
        members = np.flatnonzero(code == number)
        if not len(members):
            continue
        _, inverse, counts = np.unique(scores[members], return_inverse=True, return_counts=True)
        middle = np.cumsum(counts) - (counts - 1) / 2  # mid-ranks, from 1
        spot = (middle - 0.5) * (len(pool) / len(members)) - 0.5
        controlled[members] = np.interp(spot, spots, pool)[inverse]
    return controlled
