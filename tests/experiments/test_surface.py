"""What can be counted in a text."""

from __future__ import annotations

import pytest

from circuitseer_core.experiments.surface import operations, surface_features


def test_features_are_counts() -> None:
    features = surface_features(
        [r"Add 12 and 7.5: $x^2$ \frac{1}{2}", "1) one\n2) two", "words only"]
    )
    assert features["digits"].tolist() == [7, 2, 0]
    assert features["LaTeX"].tolist() == [2, 0, 0]
    assert features["newlines"].tolist() == [0, 1, 0]
    assert features["formatting"].tolist() == [0, 2, 0]
    assert features["words"].tolist() == [6, 4, 2]
    assert "operators" in features
    assert "newlines" not in surface_features(["a", "b c"])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("48/2 = <<48/2=24>>24 clips", 1),
        ("( 76.0 - 25.0 ) * 3 = 153", 2),
        ("a well-known x-ray of 2019", 0),
        (r"3 \times 4 + (5) ÷ 2", 3),
    ],
)
def test_operations_stand_between_operands(text: str, count: int) -> None:
    assert operations(text) == count
