"""What two draws under one seed have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats
from circuitseer_core.selection.gumbel import key_order, sampling_keys


def drawn(score: Floats, noise: Floats, temperature: float, k: int) -> NDArray[np.int64]:
    """(k,) rows of a draw."""
    return key_order(sampling_keys(score, noise, temperature), noise)[:k]


def shared(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Share of ``one`` that is in ``other``."""
    return len(np.intersect1d(one, other)) / max(1, len(one))
