"""Numbers as a person reads them: in warnings, verdicts and the report."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

_WITH_ITS_UNIT = re.compile(
    r"(?<=\d) (?=(?:%|nats?|points?)(?!\w))|(?<=\b[τp]) (?=[=<])|(?<=\b[τp] [=<]) "
)


def percent(share: float, digits: int = 0) -> str:
    """A share of 1 as "93 %"; more digits, or "over 99.99 %", where it would round to 0 or 100 %
    without being it."""
    if not math.isfinite(share):
        return "n/a"
    text = f"{100 * share:.{digits}f}"
    if float(text) in (0.0, 100.0):
        beyond = 100 * share - float(text)
        if digits < 2 and abs(beyond) > 1e-9:
            return percent(share, digits + 1)
        if abs(beyond) <= 1e-9:
            text = "100" if float(text) else "0"
        elif float(text):
            text = "over 100" if beyond > 0 else "over 99.99"
        else:
            text = "under 0.01"
    return text.replace("-", "−") + " %"


def together(text: str) -> str:
    """The same text or Markdown, its numbers on one line with their units."""
    return _WITH_ITS_UNIT.sub("\u00a0", text)


def percent_beside(share: float, limit: float, digits: int = 0) -> str:
    """A share of 1 with as many digits as tell it from ``limit``: 79.6 %, where that is 80 %."""
    text = percent(share, digits)
    if share != limit and digits < 4 and text == percent(limit, digits):
        return percent_beside(share, limit, digits + 1)
    return text


def plain(value: float, digits: int = 2) -> str:
    """A number with ``digits`` significant digits, never as 2e-05: 0.000021, 5,900."""
    if not math.isfinite(value):
        return "n/a"
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    rounded = round(value, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{rounded:,.{places}f}".replace("-", "−")


def signed(value: float, digits: int = 2) -> str:
    """A correlation or a shift with its sign: +0.88, −0.12; 0.00 where it rounds to nothing."""
    if not math.isfinite(value):
        return "n/a"
    text = f"{value:+.{digits}f}"
    if float(text) == 0:
        return text[1:]
    return text.replace("-", "−")


def digits_beside(values: Iterable[float], limit: float, digits: int = 2, most: int = 4) -> int:
    """Places behind the point that tell numbers from ``limit``: 3 where one is 0.004 from 0."""
    near = [abs(value - limit) for value in values if value != limit]
    return next((d for d in range(digits, most) if all(round(n, d) for n in near)), most)


def p_value(p: float) -> str:
    """ "p = 0.012"; what is smaller than anybody needs is "p < 0.0001"."""
    return "p < 0.0001" if p < 1e-4 else f"p = {plain(p)}"


def tau(temperature: float) -> str:
    """A temperature: "0.2", "∞"."""
    return "∞" if math.isinf(temperature) else f"{temperature:g}"


def drawn_first(lowest: bool) -> str:
    """Which rows a draw is after: the top-scored, or the lowest-scored where it draws these."""
    return "lowest-scored" if lowest else "top-scored"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A whole number with its noun: "1 row", "1,400 rows"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listing(names: Sequence[str], limit: int = 4) -> str:
    """Names in a sentence: "a", "a and b", "a, b, c and 9 more"."""
    shown = list(names[:limit])
    if len(names) > limit:
        shown.append(f"{len(names) - limit:,} more")
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def duration(seconds: float) -> str:
    """ "8 s", "3 min 20 s", "15 min", "2 h 05 min"; "an unknown time" for what is no number."""
    if not math.isfinite(seconds):
        return "an unknown time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60:02d} s" if whole % 60 else "")
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
