"""Do the reasoning heads say anything that random heads of the same layers do not?

On the rows that carry controls, for every score that depends on heads and each of the three draws:

1. Spearman of the score with the control's score.
2. Overlap of the subsets drawn with both: softly (the same noise for both, so that only the scores
   differ) and by top-k.

Yardsticks: the controls against each other (how alike are *any* two sets of heads?), a second soft
draw from the same scores under another seed, and what the shared noise alone gives (overlap.py).
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.aliases import Floats
from circuitseer_core.correlation import control_agreement, correlation, ranks
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.experiment import ExperimentOptions, ExperimentResult
from circuitseer_core.hashing import remix, to_gumbels
from circuitseer_core.runs.columns import control_columns
from circuitseer_core.runs.experiment_records import Plot
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.scorers import HEAD_SCORERS
from circuitseer_core.selection.budgets import rows_of
from circuitseer_core.selection.gumbel import draw_hashes
from circuitseer_core.selection.overlap import drawn, noise_floor, shared
from circuitseer_core.wording import count, percent, signed

NAME = "random-heads"


class Options(ExperimentOptions):
    """Options of ``validate random-heads``."""

    scores: str = Field("default", description="which scoring")
    fraction: float = Field(0.1, gt=0, le=1, description="share of the rows to draw")
    temperature: float = Field(1.0, ge=0, description="temperature of the soft draw")
    seed: int = Field(0, description="seed of the draw")


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module.

    Raises:
        UserError: the scoring has no controls.
    """
    chosen = Options.of(**options)
    known = run.scoring(chosen.scores).scorers
    frame = run.scores(chosen.scores)
    scorers = [s for s in HEAD_SCORERS if s in known and control_columns(s, frame.columns)]
    controls = [name for s in scorers for name in control_columns(s, frame.columns)]
    frame = frame[["id", *scorers, *controls]].dropna()
    if not controls or len(frame) < 2:
        raise UserError(f"scoring {chosen.scores!r} has no random-head controls")
    hashes = draw_hashes(frame["id"].tolist(), chosen.seed)
    noise, other = to_gumbels(hashes), to_gumbels(remix(hashes, 1))
    lines, summary = [], {}
    for scorer in scorers:
        comparison = compare(frame, scorer, noise, other, chosen)
        lines += comparison.pop("lines")
        summary[scorer] = comparison
    numbers = {"rows": len(frame), "chance": chosen.fraction, "scorers": summary}
    title = "Do random heads give the same scores?"
    table = pd.DataFrame(lines)
    return ExperimentResult(NAME, title, _verdict(numbers), numbers, table, None, _PLOTS)


_PLOTS = (
    Plot(
        kind="intervals", label="scorer", x="spearman", group="control",
        x_title="Spearman with random heads' scores", references={"the same ranking": 1.0},
        caption="Rank correlation of every score with the same score from each draw of random "
        "heads of the same layers.",
    ),
)  # fmt: skip


def compare(
    frame: pd.DataFrame, scorer: str, noise: Floats, other: Floats, options: Options
) -> dict[str, Any]:
    """One scorer against its controls; ``noise`` and ``other`` (N,) are two seeds' Gumbel noise."""
    score = frame[scorer].to_numpy(dtype=np.float64)
    controls = [
        frame[name].to_numpy(dtype=np.float64) for name in control_columns(scorer, frame.columns)
    ]
    agreement = control_agreement(score, controls)
    k = rows_of(options.fraction, len(frame))
    soft = drawn(score, noise, options.temperature, k)
    top = drawn(score, noise, 0.0, k)
    ranked = [ranks(control) for control in controls]
    lines = []
    for i, control in enumerate(controls):
        control_soft = drawn(control, noise, options.temperature, k)
        lines.append(
            {
                "scorer": scorer,
                "control": i,
                "rows": len(frame),
                "spearman": correlation(ranks(score), ranked[i]),
                "overlap_soft": shared(soft, control_soft),
                "overlap_top": shared(top, drawn(control, noise, 0.0, k)),
            }
        )
    among = [correlation(ranked[a], ranked[b]) for a, b in combinations(range(len(controls)), 2)]
    again = drawn(score, other, options.temperature, k)
    floor = noise_floor(score, noise, options.temperature, k, options.seed)
    mean_soft = float(np.mean([line["overlap_soft"] for line in lines]))
    return {
        "lines": lines,
        "spearman": agreement.mean if agreement else float("nan"),
        "spearman_among_controls": float(np.mean(among)) if among else None,
        "overlap_soft": mean_soft,
        "overlap_soft_floor": floor.to_json(),
        "overlap_soft_beyond_floor": limits.beyond_chance(mean_soft, floor.permuted),
        "overlap_top": float(np.mean([line["overlap_top"] for line in lines])),
        "overlap_other_seed": shared(soft, again),
    }


def _verdict(numbers: dict[str, Any]) -> str:
    text = [f"On {count(numbers['rows'], 'row')} with controls:"]
    for scorer, comparison in numbers["scorers"].items():
        among, floor = comparison["spearman_among_controls"], comparison["overlap_soft_floor"]
        line = f"{scorer}: Spearman with random heads {signed(comparison['spearman'])}"
        if among is not None:
            line += f" (random heads among themselves {signed(among)})"
        line += (
            f", soft subsets of one seed share {percent(comparison['overlap_soft'])} (the shared "
            f"noise alone gives {percent(floor['permuted'])} with permuted scores and "
            f"{percent(floor['uniform'])} with equal ones, another seed "
            f"{percent(comparison['overlap_other_seed'])}) and top ones "
            f"{percent(comparison['overlap_top'])} (chance {percent(numbers['chance'])})"
        )
        if among is not None and comparison["spearman"] >= among - limits.CONTROL_MARGIN:
            line += "; the reasoning heads stand out no more than any random set"
        text.append(line + ".")
    return " ".join(text)
