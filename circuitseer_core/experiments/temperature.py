"""What the temperature does to a draw from this run's scores.

For every τ the same pool is drawn with a number of seeds (the same ones for every τ): effective
sample size (as a share of the rows), lift of the mean score over the pool's with its spread over
the seeds, overlap with top-k (τ = 0), with a uniform draw of other noise and with the next seed,
and how far the sources move (total variation distance) and the mean length (relative). One draw of
a few rows says little: what the seeds differ by is the noise of drawing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from circuitseer_core.aliases import Floats, Ints
from circuitseer_core.experiments.experiment import ExperimentOptions, ExperimentResult
from circuitseer_core.hashing import remix
from circuitseer_core.runs.experiment_records import Plot
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.draw import Drawing, draw
from circuitseer_core.selection.gumbel import draw_hashes, effective_size
from circuitseer_core.selection.lists import run_rules
from circuitseer_core.selection.overlap import shared
from circuitseer_core.selection.pool import load_pool
from circuitseer_core.selection.settings import LengthControl, SelectionSettings
from circuitseer_core.selection.sift import sift
from circuitseer_core.wording import count, percent, tau

NAME = "temperature"
SWEEP = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0, math.inf)


class Options(ExperimentOptions):
    """Options of ``validate temperature``."""

    scores: str = Field("default", description="which scoring")
    scorer: str = Field("variance", description="the column to draw by")
    fraction: float = Field(0.1, gt=0, le=1, description="share of the rows to draw")
    temperatures: tuple[float, ...] = Field(SWEEP, description="values of τ, separated by commas")
    length_control: LengthControl = Field("none", description="none or within-bins")
    seeds: int = Field(10, ge=1, description="draws a temperature")
    seed: int = Field(0, description="the first seed; the others follow from it")

    @field_validator("temperatures", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return value.replace(",", " ").split() if isinstance(value, str) else value


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module.

    Raises:
        UserError: no such scoring or scorer, or scores with which soft sampling is not defined.
    """
    chosen = Options.of(**options)
    draws = _Draws(run, chosen)
    top, uniform = draws(0.0), draws(math.inf, noise=chosen.seeds + 1)
    lines = [_line(draws, tau, chosen.seeds, top, uniform) for tau in chosen.temperatures]
    table = pd.DataFrame(lines)
    numbers = {
        "rows": len(top.pool),
        "drawn": len(top.chosen),
        "scorer": chosen.scorer,
        # Text for τ, because JSON has no infinity.
        "by_temperature": {f"{line['temperature']:g}": _rest(line) for line in lines},
    }
    title = "What does the temperature do to this draw?"
    return ExperimentResult(NAME, title, _verdict(table, chosen), numbers, table, None, _PLOTS)


_PLOTS = (
    Plot(
        kind="lines", x="temperature", y="overlap_top", x_title="temperature τ", shares=True,
        y_title="rows shared with top-k",
        caption="Share of the subset that top-k takes too, by temperature (the uniform draw, "
        "τ = ∞, is in the table).",
    ),
    Plot(
        kind="lines", x="temperature", y="ess_share", x_title="temperature τ", shares=True,
        y_title="effective sample size",
        caption="Effective sample size of the draw, as a share of the rows, by temperature.",
    ),
)  # fmt: skip


class _Draws:
    """Draws from one pool, sifted and hashed once."""

    def __init__(self, run: Run, options: Options) -> None:
        self.base = {
            "scores": options.scores,
            "scorer": options.scorer,
            "fraction": options.fraction,
            "length_control": options.length_control,
            "seed": options.seed,
        }
        settings = SelectionSettings.of(**self.base)
        self.pool = load_pool(run, settings)
        self.rules = run_rules(run, settings)
        self.sifted = sift(self.pool, self.rules)
        self.hashes = draw_hashes(self.pool.ids, options.seed)

    def __call__(self, temperature: float, noise: int = 0) -> Drawing:
        """A draw; ``noise`` above 0 is another seed's."""
        settings = SelectionSettings.of(**self.base, temperature=temperature)
        hashes = self.hashes if noise == 0 else remix(self.hashes, noise)
        return draw(self.pool, settings, self.rules, sifted=self.sifted, hashes=hashes)


def _line(
    draws: _Draws, temperature: float, seeds: int, top: Drawing, uniform: Drawing
) -> dict[str, float]:
    """One temperature: means over the seeds, and the standard deviation of the lift."""
    # At τ = 0 noise only breaks ties: one draw is all there is to see.
    drawn = [draws(temperature, noise=i) for i in range(1 if temperature == 0 else seeds)]
    each = pd.DataFrame([describe(drawing) for drawing in drawn])
    line = {str(name): float(value) for name, value in each.mean().items()}
    line["lift_sd"] = float(each["lift"].std(ddof=1))
    following = [*drawn[1:], draws(temperature, noise=len(drawn))]
    pairs = zip(drawn, following, strict=True)
    line["overlap_top"] = _mean(shared(d.chosen, top.chosen) for d in drawn)
    line["overlap_uniform"] = _mean(shared(d.chosen, uniform.chosen) for d in drawn)
    line["overlap_other_seed"] = _mean(shared(d.chosen, other.chosen) for d, other in pairs)
    return line


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def describe(drawing: Drawing) -> dict[str, float]:
    """temperature, ess_share, lift, source_shift and length_shift of a draw."""
    pool, chosen = drawing.pool, drawing.chosen
    sources = len(pool.names)
    before = np.bincount(pool.source, minlength=sources) / len(pool)
    after = np.bincount(pool.source[chosen], minlength=sources) / len(chosen)
    return {
        "temperature": drawing.temperature,
        "ess_share": effective_size(drawing.chances) / len(pool),
        "lift": _gain(pool.score, chosen),
        "source_shift": float(np.abs(after - before).sum() / 2),
        "length_shift": _gain(pool.length, chosen),
    }


def _gain(values: Floats, chosen: Ints) -> float:
    """Relative change of the mean; NaN where the pool's mean is not above 0."""
    mean = float(values.mean())
    return float(values[chosen].mean()) / mean - 1 if mean > 0 else float("nan")


def _rest(line: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in line.items() if key != "temperature"}


def _verdict(table: pd.DataFrame, options: Options) -> str:
    parts = []
    for line in table.itertuples():
        if line.temperature in (0.0, 0.5, 1.0, 2.0, math.inf) or len(table) <= 5:
            name = tau(line.temperature)
            side = "below" if line.lift < 0 else "above"
            spread = "" if math.isnan(line.lift_sd) else f" ± {percent(line.lift_sd, 1)}"
            part = (
                f"τ = {name}: effective sample size {percent(line.ess_share)}, mean score "
                f"{percent(abs(line.lift), 1)}{spread} {side} the pool's, "
                f"{percent(line.overlap_top)} shared with top-k"
            )
            if table["source_shift"].any():
                part += f", sources moved by {percent(line.source_shift, 1)}"
            parts.append(part)
    start = f"Drawing {percent(options.fraction)} by {options.scorer}, mean ± spread over "
    return f"{start}{count(options.seeds, 'seed')}. " + ". ".join(parts) + "."
