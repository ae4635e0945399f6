"""The numbers of validate joint-ablation."""

from __future__ import annotations

import numpy as np
import pytest

from circuitseer_core.experiments.joint_ablation import loss_table, summary


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
