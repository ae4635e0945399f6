"""Fractions and largest remainders."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from circuitseer_core.selection.budgets import apportion, rows_of


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5000), st.decimals("0.001", "1", places=3))
def test_fractions_round_to_nearest_with_at_least_one(n: int, fraction: Decimal) -> None:
    exact = int((fraction * n).to_integral_value(ROUND_HALF_UP))
    assert rows_of(float(fraction), n) == max(1, exact)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 300),
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 9)), min_size=1, max_size=6),
)
def test_apportion_is_the_largest_remainder_within_bounds(
    total: int, parts: list[tuple[int, int]]
) -> None:
    sizes = [size for size, _ in parts]
    lower = [min(must, size) for size, must in parts]
    shares = apportion(total, sizes, lower, sizes)
    assert all(low <= share <= size for low, share, size in zip(lower, shares, sizes, strict=True))
    assert sum(shares) == min(max(total, sum(lower)), sum(sizes))
    if total <= sum(sizes) and not any(lower) and sum(sizes):
        for share, size in zip(shares, sizes, strict=True):
            assert abs(share - total * size / sum(sizes)) < 1
