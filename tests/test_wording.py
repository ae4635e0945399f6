"""Numbers as a person reads them."""

from __future__ import annotations

from circuitseer_core.markup import paragraph, tag
from circuitseer_core.wording import (
    count,
    digits_beside,
    listing,
    p_value,
    percent,
    percent_beside,
    plain,
    signed,
    tau,
    together,
)


def test_numbers_in_words() -> None:
    near = {0.99996: "over 99.99 %", 0.9999: "99.99 %", 1.00004: "over 100 %", 1 - 1e-15: "100 %"}
    near |= {0.00003: "under 0.01 %", 1e-15: "0 %"}
    assert {x: percent(x, digits) for x in near for digits in (0, 1, 2)} == near
    assert [percent(x) for x in (0.934, 0.999, 0.0004, 0, 1, -0.12)] == [
        "93 %", "99.9 %", "0.04 %", "0 %", "100 %", "−12 %",
    ]  # fmt: skip
    assert [plain(x) for x in (0.0000213, 1.18, 5912, -0.05, 0)] == [
        "0.000021", "1.2", "5,900", "−0.050", "0",
    ]  # fmt: skip
    assert [signed(x) for x in (0.876, -0.124, 0.001, float("nan"))] == [
        "+0.88", "−0.12", "0.00", "n/a",
    ]  # fmt: skip
    assert (count(1, "row"), count(1400, "row")) == ("1 row", "1,400 rows")
    assert (tau(0.2), tau(float("inf"))) == ("0.2", "∞")
    assert (p_value(0.0123), p_value(7.6e-7)) == ("p = 0.012", "p < 0.0001")
    assert listing(["a"]) == "a" and listing(["a", "b"]) == "a and b"
    assert listing(list("abcdefg"), 3) == "a, b, c and 4 more"


def test_numbers_have_the_digits_that_tell_them_from_a_limit() -> None:
    assert digits_beside([0.3, -0.01, 0.0], 0.0) == 2
    assert digits_beside([0.3, 0.004], 0.0) == 3
    assert digits_beside([0.3, 1e-9], 0.0) == 4 and digits_beside([], 0.0) == 2


def test_a_share_beside_a_limit_is_told_from_it() -> None:
    assert percent_beside(0.796, 0.8) == "79.6 %"
    assert percent_beside(0.8, 0.8) == "80 %" == percent_beside(0.8, 0.9)
    assert percent_beside(0.79999, 0.8) == "79.999 %"


def test_numbers_stay_with_their_units_and_all_else_as_it_is() -> None:
    text = "**86 %** of [3 rows](x), 2 nats at τ = 1"
    assert together(text) == "**86\u00a0%** of [3 rows](x), 2\u00a0nats at τ\u00a0=\u00a01"
    assert paragraph("5 % of", tag("b", "5 %")) == "<p>5\u00a0% of<b>5 %</b></p>"
