"""Intervals of the kept training studies by today's reckoning: training-intervals.csv.

    python docs/evidence/training_intervals.py

The tables beside this file were judged with one Student's t over seeds and samples together, which
is too narrow for three seeds (circuitseer_core/training/effects.py); the models were not kept. What
was kept gives the mean squares back: the half width and p (or stderr and df), the spread over
seeds, and where it is at hand every seed's own difference. From these come the parts of the
variance and with them the interval and p that ``validate training`` would give today.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from circuitseer_core.distributions import holm
from circuitseer_core.training.effects import Difference, chance_of

STUDIES = {
    "training-small": "uniform", "training-smollm2": "uniform",
    "training-by-responses": "soft", "training-tenth": "uniform",
}  # fmt: skip
SEEDS = 3
Squares = tuple[float, float, float]
"""Mean squares of seeds, residual and items."""


def main() -> None:
    """Write the table."""
    frames = [judged_anew(name, reference) for name, reference in STUDIES.items()]
    table = pd.concat(frames, ignore_index=True)
    table.round(5).to_csv(HERE / "training-intervals.csv", index=False)


def judged_anew(name: str, reference: str) -> pd.DataFrame:
    """study, arm, source, difference, low, high, p, p_holm of one study's trained arms."""
    kept = pd.read_csv(HERE / f"{name}.csv")
    kept = kept[(kept["measure"] == "loss") & kept["difference"].notna()]
    lines = []
    for _, row in kept[kept["arm"] != "untrained"].iterrows():
        own = by_seed(name, row["arm"], reference, row["source"])
        if (squares := squares_of(row, own)) is None:
            continue
        gap = difference_of(row, squares)
        line = (name, row["arm"], row["source"], gap.mean, gap.low, gap.high, gap.p)
        lines.append(line)
    columns = ["study", "arm", "source", "difference", "low", "high", "p"]
    table = pd.DataFrame(lines, columns=columns)
    whole = table["source"] == "all"
    table.loc[whole, "p_holm"] = holm(table.loc[whole, "p"].to_numpy())
    return table


def by_seed(name: str, arm: str, reference: str, source: str) -> np.ndarray | None:
    """Every seed's own difference; None where it was not kept."""
    if name == "training-small":
        return None
    if name == "training-tenth":
        lines = json.loads((HERE / f"{name}.json").read_text())["numbers"]["by_seed"]
        own = next(x for x in lines if (x["arm"], x["source"]) == (arm, source))
        return np.array(own["differences"])
    losses = pd.read_csv(HERE / "training-smollm2-seeds.csv").set_index(["arm", "source", "seed"])
    losses = losses.sort_index()
    one, other = (losses["loss"].loc[which, source] for which in (arm, reference))
    return (one - other).to_numpy()


def squares_of(row: pd.Series, own: np.ndarray | None) -> Squares | None:
    """The mean squares that this row was judged by; None where its p says too little."""
    items, half = int(row["items"]), (row["high"] - row["low"]) / 2
    above_rest = items * row["seed_sd"] ** 2  # of seeds less that of the residual, not under 0
    seeds = None if own is None else items * float(np.var(own, ddof=1))
    if seeds is not None and above_rest > 0:
        rest = seeds - above_rest

        def too_wide(squares: float) -> float:
            error, df = satterthwaite((seeds, rest, squares), items)
            return float(stdtrit(df, 0.975)) * error - half

        def chance(squares: float) -> float:
            error, df = satterthwaite((seeds, rest, squares), items)
            return float(2 * stdtr(df, -abs(row["difference"]) / error))

        known = roots(too_wide, np.geomspace(1e-6, 1e3, 4000))
        return seeds, rest, min(known, key=lambda squares: abs(chance(squares) - row["p"]))

    def too_likely(df: float) -> float:
        times = float(stdtrit(df, 0.975)) * abs(row["difference"]) / half
        return float(2 * stdtr(df, -times)) - row["p"]

    known = roots(too_likely, np.geomspace(1.0, 400, 3000))
    if not known:
        return None
    df = known[0]
    combined = (half / float(stdtrit(df, 0.975))) ** 2 * SEEDS * items
    of_items = combined - above_rest

    def too_free(rest: float) -> float:
        squares = (seeds if seeds is not None else rest + above_rest, rest, of_items)
        return satterthwaite(squares, items)[1] - df

    left = roots(too_free, np.geomspace(1e-7, 10, 4000))
    rest = left[0] if left else 0.0
    rest = rest if seeds is None else max(rest, seeds)
    return (rest + above_rest if seeds is None else seeds), rest, of_items


def satterthwaite(squares: Squares, items: int) -> tuple[float, float]:
    """Standard error and degrees of freedom as they were reckoned then."""
    of_seeds, rest, of_items = squares
    combined = max(of_seeds + of_items - rest, of_items)
    terms = of_seeds**2 / (SEEDS - 1) + of_items**2 / (items - 1)
    terms += rest**2 / ((SEEDS - 1) * (items - 1))
    return float(np.sqrt(combined / (SEEDS * items))), max(1.0, combined**2 / terms)


def roots(function: Callable[[float], float], grid: np.ndarray) -> list[float]:
    """Where a function changes its sign on a grid."""
    signs = np.sign([function(x) for x in grid])
    return [float(brentq(function, *grid[i : i + 2])) for i in np.flatnonzero(np.diff(signs))]


def difference_of(row: pd.Series, squares: Squares) -> Difference:
    """The difference as it is judged today."""
    of_seeds, rest, of_items = squares
    items = int(row["items"])
    whole = max(of_seeds + of_items - rest, of_items) / (SEEDS * items)
    own = max(0.0, of_items - rest) / (SEEDS * items)
    mean = float(row["difference"])
    gap = Difference(
        mean, mean, mean, 1.0, SEEDS, items, float(row["seed_sd"]),
        float(np.sqrt(of_items / SEEDS)), float(np.sqrt(whole)), own, SEEDS * (whole - own),
    )  # fmt: skip
    reach = gap.reach(0.025)
    return replace(gap, low=mean - reach, high=mean + reach, p=chance_of(gap))


if __name__ == "__main__":
    main()
