"""The numbers of validate joint-ablation."""

from __future__ import annotations

import numpy as np
import pytest

from circuitseer_core.experiments.joint_ablation import _outcome, _verdict, loss_table, summary


class TestJointNumbers:
    LOSSES = np.array([[1.0, 2.0], [2.0, 4.0], [1.1, 2.1], [1.3, 2.1]])  # clean, set, 2 controls

    def test_summary_by_hand(self) -> None:
        numbers = summary(self.LOSSES, 0.9, 2)
        assert numbers["clean"] == 1.5 and numbers["joint"] == 1.5
        assert numbers["controls"] == pytest.approx([0.1, 0.2])
        assert numbers["gap"] == pytest.approx(1.35)  # 1 − 0.2 and 2 − 0.1
        assert numbers["gap_stderr"] == pytest.approx(1.1 / 2)  # half the difference of 0.8 and 1.9
        assert numbers["above_every_control"] == 1.0
        assert numbers["p_other_than_random"] == pytest.approx(1 / 3) and numbers["p_samples"] == 2

    def test_controls_of_fewer_samples(self) -> None:
        """The gap stays that to the complete controls, p is of the samples that have them all."""
        losses = np.vstack([self.LOSSES, [[9.0, np.nan]]])
        numbers = summary(losses, 0.9, 2)
        assert numbers["controls"] == pytest.approx([0.1, 0.2, 8.0])
        assert numbers["gap"] == pytest.approx(1.35)
        # On the first sample the set does 1, the controls 0.1, 0.3 and 8.
        assert numbers["p_other_than_random"] == pytest.approx(2 / 4) and numbers["p_samples"] == 1
        table = loss_table(losses, [[(0, 0)], [(0, 1)], [(0, 2)], [(0, 3)]])
        assert table["samples"].tolist() == [2, 2, 2, 2, 1]
        assert table["delta"].iloc[-1] == pytest.approx(8.0)

    def test_table_by_hand(self) -> None:
        table = loss_table(self.LOSSES, [[(0, 0), (1, 1)], [(0, 1)], [(0, 2)]]).set_index("ablated")
        assert table["delta"].tolist() == pytest.approx([0, 1.5, 0.1, 0.2])
        assert table["heads"].tolist() == [0, 2, 1, 1]
        assert table.loc["reasoning heads", "stderr"] == pytest.approx(0.5)


def _losses(own: float, seed: int = 0) -> np.ndarray:
    """Clean, the set, 20 controls of unlike effects; 40 samples, the last 17 controls on 24."""
    rng = np.random.default_rng(seed)
    clean = 1 + rng.random(40)
    effects = rng.lognormal(-1.5, 0.5, 21)
    effects[0] += own
    losses = np.vstack([clean, clean + effects[:, None] * rng.lognormal(0, 0.2, (21, 40))])
    losses[5:, 24:] = np.nan
    return losses


def test_a_planted_joint_effect_is_found() -> None:
    numbers = summary(_losses(2.0), 0.9, 14)
    outcome = _outcome(numbers)
    assert outcome is not None and outcome.state == "found" and outcome.low > 1
    assert numbers["against"]["draws"] == 20 and numbers["p_samples"] == 24


def test_a_set_like_others_is_not_found() -> None:
    """Held against the mean of three controls, with the samples' error alone, many would be."""
    states, plain = [], 0
    for seed in range(60):
        numbers = summary(_losses(0.0, seed), 0.9, 14)
        outcome = _outcome(numbers)
        assert outcome is not None
        states.append(outcome.state)
        plain += abs(numbers["gap"]) > 2.03 * numbers["gap_stderr"] and numbers["gap"] > 0
    assert states.count("found") <= 6 < plain


WORDS = {"data": "held-out samples", "controls_are": "as many random heads of the same layers"}


def test_the_verdict_says_what_is_not_beyond() -> None:
    for own, words in ((2.0, False), (0.0, True)):
        numbers = summary(_losses(own), 0.9, 14) | WORDS
        assert (": not beyond" in _verdict(numbers)) == words
        assert _verdict(numbers).startswith("Ablating the 14 reasoning heads at once raises")


def test_a_set_of_one_head_is_one_head() -> None:
    verdict = _verdict(summary(_losses(2.0), 0.9, 1) | WORDS)
    assert verdict.startswith("Ablating the one reasoning head raises the loss by")
    assert "On the probe it raises it by 0.90 nats." in verdict
