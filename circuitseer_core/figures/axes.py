"""Axes of binned values: even steps on a log scale, with ticks that read as the values."""

from __future__ import annotations

import numpy as np

from circuitseer_core.aliases import Floats
from circuitseer_core.distributions import Bins


def positions(bins: Bins) -> Floats:
    """Where bins stand on the axis: plotly's own log axis cannot hold bars of even width."""
    return np.log10(bins.centres) if bins.log else bins.centres


def widths(bins: Bins) -> Floats:
    """(B,) widths of bars, with a little air between them."""
    edges = np.log10(bins.edges) if bins.log else bins.edges
    return np.diff(edges) * 0.94


def ticks(bins: Bins) -> dict[str, object]:
    """Ticks of an axis made by :func:`positions`: values, not their logarithms."""
    if not bins.log:
        return {}
    low, high = float(np.log10(bins.edges[0])), float(np.log10(bins.edges[-1]))
    steps = (1,) if high - low > 4 else (1, 3) if high - low > 1.6 else (1, 2, 5)
    values = [m * 10.0**k for k in range(int(low) - 2, int(high) + 2) for m in steps]
    inside = [v for v in values if bins.edges[0] <= v <= bins.edges[-1]]
    return {
        "tickvals": [float(np.log10(v)) for v in inside],
        "ticktext": [_short(v) for v in inside],
    }


def _short(value: float) -> str:
    if 1e-3 <= value < 1e4:
        return f"{value:,.10g}"
    mantissa, exponent = f"{value:.0e}".split("e")
    power = f"10<sup>{int(exponent)}</sup>"
    return power if mantissa == "1" else f"{mantissa}·{power}"
