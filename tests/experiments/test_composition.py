"""What a score is made of, on scores whose parts are known."""

from __future__ import annotations

import pytest

from circuitseer_core.experiments.composition import explained
from tests.support.experiment_tests import RNG


def test_a_part_explains_what_it_makes() -> None:
    rng = RNG(0)
    length, other = rng.normal(size=800), rng.normal(size=800)
    share = explained(length + other, [length])
    assert share.low < 0.5 < share.high
    assert share.estimate == pytest.approx(0.48, abs=0.06)
    assert explained(length + other, [length, other]).estimate > 0.9


def test_noise_explains_nothing_however_much_there_is() -> None:
    rng = RNG(1)
    share = explained(rng.normal(size=200), [rng.normal(size=200) for _ in range(20)])
    assert share.estimate < 0
    assert share.high < 0.1
