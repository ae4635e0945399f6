"""The short measurement before a detection."""

from __future__ import annotations

import numpy as np
import pytest

from circuitseer_core.detection import timing
from circuitseer_core.detection.cost import noise_passes
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.model.encoding import Encoded
from tests.support.tiny_models import tiny_model


def encoded(lengths: list[int]) -> list[Encoded]:
    rng = np.random.default_rng(0)
    return [
        Encoded(f"s{i}", "x", rng.integers(1, 300, n).tolist(), 2) for i, n in enumerate(lengths)
    ]


@pytest.mark.parametrize("first", [0.2, 5.0])
def test_a_batch_is_timed_where_one_sample_is_quick(
    first: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[list[int]] = []

    def timed(_: object, samples: list[Encoded]) -> tuple[float, int]:
        tried.append([s.n_tokens for s in samples])
        tokens = sum(tried[-1])
        return (first if len(tried) == 1 else 0.01 * tokens), tokens

    monkeypatch.setattr(timing, "_timed", timed)
    seconds = timing.pass_seconds(tiny_model(), encoded([10, 20, 30, 40, 100]), budget=90)
    assert tried[0] == [30]
    if first < timing.LONG_ENOUGH_S:
        assert tried[1] == [20, 30, 40]
        assert seconds == pytest.approx(0.01 * 40), "of the mean length, which is 40"
    else:
        assert len(tried) == 1 and seconds == pytest.approx(first / 30 * 40)


def test_the_estimate_counts_the_work_and_says_how_it_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = DetectSettings(model="m", probe=["p"], probe_size=4, probe_pool=10)
    reference, samples = tiny_model(), encoded([12] * 10)
    assert timing.estimate(reference, settings, samples, budget=64).seconds
    monkeypatch.setattr(timing, "pass_seconds", lambda *_: 10.0)
    estimated = timing.estimate(reference, settings, samples, budget=64)
    noise = noise_passes(4) * 10.0
    assert estimated.seconds == 10 * 10.0 + 32 * 5.0 + noise, "clean passes, halves, noise floor"
    assert estimated.words == (
        "32 evaluations (a head ablated on a sample) after the clean losses of 10 candidates at "
        "most, about 8 min (by a short measurement)"
    )
