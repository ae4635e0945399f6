"""What two draws under one seed have in common, and how much of that is the seed's doing.

Draws of one seed share their Gumbel noise, so that only the scores differ. But noise that is shared
makes subsets alike whatever the scores are: a soft draw shares most of its rows with a draw of the
same seed from *permuted* scores. That is the floor from which an overlap counts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.limits import beyond_chance
from circuitseer_core.selection.gumbel import key_order, sampling_keys


def drawn(score: Floats, noise: Floats, temperature: float, k: int) -> Ints:
    """(k,) rows of a draw."""
    return key_order(sampling_keys(score, noise, temperature), noise, top=k)[:k]


def shared(one: Ints, other: Ints) -> float:
    """Share of ``one`` that is in ``other``."""
    return len(np.intersect1d(one, other)) / max(1, len(one))


PERMUTATIONS = 20
FLOOR_ROWS = 100_000
"""Most rows from which a floor is computed: enough to know it to a tenth of a point."""


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """Shares of a draw that draws of the same noise take from scores without meaning.

    ``uniform``: from equal scores; ``permuted`` and ``permuted_sd``: mean and spread over
    permutations of the draw's own scores.
    """

    uniform: float
    permuted: float
    permuted_sd: float

    def beyond(self, share: float) -> float:
        """A share on a scale from 0, what permuted scores share, to 1, the same rows."""
        return beyond_chance(share, self.permuted)

    def to_json(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def noise_floor(
    score: Floats, noise: Floats, temperature: float, k: int, seed: int = 0
) -> NoiseFloor:
    """The floor of :func:`shared` for draws of ``k`` rows from (N,) ``score`` and ``noise``."""
    own = np.zeros(len(score), dtype=bool)
    own[drawn(score, noise, temperature, k)] = True
    return floor_against(own, score, noise, temperature, k, seed)


def floor_against(
    own: NDArray[np.bool_], score: Floats, noise: Floats, temperature: float, k: int, seed: int = 0
) -> NoiseFloor:
    """How much of a draw, (N,) ``own``, another takes by its noise and its size alone.

    The other draws ``k`` rows by ``score`` and ``noise``, whose seed may be that of ``own`` or not.
    Of more than FLOOR_ROWS rows that many are looked at, with as large a share drawn.
    """
    rng = np.random.default_rng(seed)
    if len(score) > FLOOR_ROWS:
        part = rng.choice(len(score), FLOOR_ROWS, replace=False)
        k = round(k * FLOOR_ROWS / len(score))
        own, score, noise = own[part], score[part], noise[part]
    total = max(1, int(own.sum()))

    def taken(scores: Floats) -> float:
        return float(own[drawn(scores, noise, temperature, k)].sum()) / total

    permuted = [taken(rng.permutation(score)) for _ in range(PERMUTATIONS)]
    uniform = taken(np.ones_like(score))
    return NoiseFloor(uniform, float(np.mean(permuted)), float(np.std(permuted, ddof=1)))
