"""The soft draw against successive sampling."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from circuitseer_core.hashing import to_gumbels
from circuitseer_core.selection.gumbel import (
    draw_hashes,
    key_order,
    sampling_keys,
)
from tests.support.score_frames import INF

TRIALS = 20_000


def inclusion(weights: list[float], k: int) -> np.ndarray:
    """Chance of every item to be among the first k of successive draws, summed over all orders."""
    chances = np.zeros(len(weights))
    for order in itertools.permutations(range(len(weights)), k):
        left, chance = sum(weights), 1.0
        for item in order:
            chance *= weights[item] / left
            left -= weights[item]
        chances[list(order)] += chance
    return chances


def frequencies(scores: list[float], k: int, temperature: float) -> np.ndarray:
    ids = [f"s/{i}" for i in range(len(scores))]
    values = np.array(scores)
    counts = np.zeros(len(scores))
    for seed in range(TRIALS):
        noise = to_gumbels(draw_hashes(ids, seed))
        counts[key_order(sampling_keys(values, noise, temperature), noise, ids)[:k]] += 1
    return counts / TRIALS


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_inclusion_equals_successive_sampling(temperature: float) -> None:
    scores = [0.5, 1.0, 1.5, 3.0, 6.0]
    exact = inclusion([s ** (1 / temperature) for s in scores], 2)
    error = 4 * np.sqrt(exact * (1 - exact) / TRIALS)  # four standard errors of a frequency
    gap = np.abs(frequencies(scores, 2, temperature) - exact)
    assert (gap <= error).all()
    other = inclusion([s ** (1 / (1.15 * temperature)) for s in scores], 2)
    assert (np.abs(other - exact) > 2 * error).any(), "a temperature 15 % off would have passed"


def test_infinite_temperature_is_uniform() -> None:
    scores = [0.0, 1.0, 1.5, 3.0, 600.0]
    gap = np.abs(frequencies(scores, 2, INF) - 0.4)
    assert (gap <= 4 * math.sqrt(0.4 * 0.6 / TRIALS)).all()
