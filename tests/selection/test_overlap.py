"""What draws share by their noise alone."""

from __future__ import annotations

import numpy as np
import pytest

from circuitseer_core.hashing import remix, to_gumbels
from circuitseer_core.selection import overlap
from circuitseer_core.selection.gumbel import draw_hashes

HASHES = draw_hashes([f"s/{i}" for i in range(2000)], 0)
NOISE, OTHER = to_gumbels(HASHES), to_gumbels(remix(HASHES, 1))
SCORE = np.random.default_rng(0).lognormal(0, 0.5, 2000)


def own(score: np.ndarray, noise: np.ndarray, k: int = 200) -> np.ndarray:
    rows = np.zeros(len(score), dtype=bool)
    rows[np.argsort(-(np.log(score) + noise))[:k]] = True
    return rows


def test_another_seed_shares_what_chance_does_and_one_seed_more() -> None:
    view = own(SCORE, NOISE)
    apart = overlap.floor_against(view, SCORE, OTHER, 1.0, 200)
    assert apart.permuted == pytest.approx(0.1, abs=0.03) and apart.uniform < 0.2
    same = overlap.floor_against(view, SCORE, NOISE, 1.0, 200)
    assert same.permuted > 0.3 and same.uniform > 0.4
    assert same == overlap.noise_floor(SCORE, NOISE, 1.0, 200)


def test_by_hand() -> None:
    """At temperature 0 the noise orders equal scores only."""
    noise, score = np.array([3.0, 2.0, 1.0, 0.0]), np.array([1.0, 2.0, 3.0, 4.0])
    view = np.array([True, True, False, False])
    floor = overlap.floor_against(view, score, noise, 0.0, 2)
    assert floor.uniform == 1.0 and 0.2 < floor.permuted < 0.8


def test_a_part_of_many_rows_gives_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    view = own(SCORE, NOISE)
    whole = overlap.floor_against(view, SCORE, NOISE, 1.0, 200)
    monkeypatch.setattr(overlap, "FLOOR_ROWS", 1000)
    part = overlap.floor_against(view, SCORE, NOISE, 1.0, 200)
    assert part != whole and part.permuted == pytest.approx(whole.permuted, abs=0.1)


def test_a_share_is_corrected_for_what_noise_shares() -> None:
    floor = overlap.NoiseFloor(uniform=0.85, permuted=0.8, permuted_sd=0.02)
    assert floor.beyond(0.8) == pytest.approx(0.0) and floor.beyond(1.0) == pytest.approx(1.0)
    assert floor.beyond(0.95) == pytest.approx(0.75)
