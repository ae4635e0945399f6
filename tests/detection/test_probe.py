"""The choice of the probe."""

from __future__ import annotations

import numpy as np
import pytest

from circuitseer_core.detection.probe import choose_probe
from circuitseer_core.errors import UserError
from circuitseer_core.model.encoding import Encoded


def test_probe_criteria() -> None:
    samples = [Encoded(f"s{i}", "ab"[i % 3 == 0], [1, 2], 1) for i in range(9)]
    losses = np.array([1, 9, 2, 8, 3, 7, np.nan, 6, 5.0])
    assert choose_probe(samples, losses, criterion="loss", size=3) == [1, 3, 5]
    assert choose_probe(samples, losses, criterion="random", size=3) == [0, 1, 2]
    even = choose_probe(samples, losses, criterion="stratified", size=4)
    assert sorted(samples[i].source for i in even) == ["a", "a", "b", "b"]
    with pytest.raises(UserError):
        choose_probe(samples, np.full(9, np.nan), criterion="loss", size=3)
