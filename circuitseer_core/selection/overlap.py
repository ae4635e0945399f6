"""What two draws under one seed have in common, and how much of that is the seed's doing.

Draws of one seed share their Gumbel noise, so that only the scores differ. But noise that is shared
makes subsets alike whatever the scores are: a soft draw shares most of its rows with a draw of the
same seed from *permuted* scores. That is the floor from which an overlap counts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

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


PERMUTATIONS = 20


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """Shares of a draw that draws of the same noise take from scores without meaning.

    ``uniform``: from equal scores; ``permuted`` and ``permuted_sd``: mean and spread over
    permutations of the draw's own scores.
    """

    uniform: float
    permuted: float
    permuted_sd: float

    def to_json(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def noise_floor(
    score: Floats, noise: Floats, temperature: float, k: int, seed: int = 0
) -> NoiseFloor:
    """The floor of :func:`shared` for draws of ``k`` rows from (N,) ``score`` and ``noise``."""
    own = drawn(score, noise, temperature, k)
    rng = np.random.default_rng(seed)
    permuted = [
        shared(own, drawn(rng.permutation(score), noise, temperature, k))
        for _ in range(PERMUTATIONS)
    ]
    uniform = shared(own, drawn(np.ones_like(score), noise, temperature, k))
    return NoiseFloor(uniform, float(np.mean(permuted)), float(np.std(permuted, ddof=1)))
