"""Temperatures and effective sizes."""

from __future__ import annotations

import numpy as np
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.selection.gumbel import (
    effective_size,
    probabilities,
    temperature_for,
)
from circuitseer_core.selection.select import select
from tests.support.score_frames import INF, frame


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_temperature_for_a_target_effective_size(share: float) -> None:
    scores = np.random.default_rng(3).lognormal(0, 1.5, 2000)
    temperature = temperature_for(scores, share)
    assert effective_size(probabilities(scores, temperature)) / 2000 == pytest.approx(share, 1e-4)
    assert temperature_for(np.random.default_rng(0).permutation(scores), share) == temperature
    drawn = select(frame(scores), target_ess=share)
    assert drawn.attrs["selection"]["temperature"] == temperature


def test_effective_size_has_its_limits() -> None:
    assert temperature_for(np.array([1.0, 2.0]), 1.0) == INF
    assert temperature_for(np.array([5.0, 5.0, 5.0]), 0.5) == 0.0
    with pytest.raises(UserError, match="only 2 scores are above 0"):
        temperature_for(np.array([0.0, 0.0, 1.0, 2.0]), 0.75)
    assert effective_size(np.full(8, 1 / 8)) == pytest.approx(8)
