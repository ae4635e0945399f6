"""Do the reasoning heads say anything that random heads of the same layers do not?

On the rows that carry every control, for every score that depends on heads and each of its draws:

1. Spearman of the score with the control's score.
2. Overlap of the subsets drawn with both: softly (the same noise for both, so that only the scores
   differ) and by top-k.

Yardsticks: the controls against each other (how alike are *any* two sets of heads?), a second soft
draw from the same scores under another seed, and what the shared noise alone gives (overlap.py).

3. Each set's mean Spearman with all the others. If the reasoning heads were one more random set,
   theirs would be the lowest of n + 1 with probability 1/(n + 1). Random sets may share heads with
   each other and share none with the reasoning heads, which alone makes them somewhat more alike:
   how many they share is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.aliases import Floats, Head
from circuitseer_core.correlation import (
    control_agreement,
    correlation,
    draws_in_words,
    over_draws,
    rank_chance,
    ranks,
)
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
from circuitseer_core.wording import count, percent, plain, signed

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
    numbers = {
        "rows": len(frame),
        "chance": chosen.fraction,
        "heads_shared": heads_shared(run.scoring(chosen.scores).control_heads),
        "scorers": summary,
    }
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
    lines: list[dict[str, Any]] = []
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
    alike = {
        (a, b): correlation(ranked[a], ranked[b]) for a, b in combinations(range(len(controls)), 2)
    }
    among = list(alike.values())
    spearmans = [line["spearman"] for line in lines]
    again = drawn(score, other, options.temperature, k)
    floor = noise_floor(score, noise, options.temperature, k, options.seed)
    mean_soft = float(np.mean([line["overlap_soft"] for line in lines]))
    return {
        "lines": lines,
        "spearman": agreement.mean if agreement else float("nan"),
        "spearman_interval": agreement.interval if agreement else None,
        "draws": len(controls),
        "p_other_than_random": _chance_of_standing_out(spearmans, alike),
        "spearman_among_controls": float(np.mean(among)) if among else None,
        "overlap_soft": mean_soft,
        "overlap_soft_interval": over_draws([line["overlap_soft"] for line in lines]),
        "overlap_soft_floor": floor.to_json(),
        "overlap_soft_beyond_floor": limits.beyond_chance(mean_soft, floor.permuted),
        "overlap_top": float(np.mean([line["overlap_top"] for line in lines])),
        "overlap_other_seed": shared(soft, again),
    }


def _chance_of_standing_out(
    spearmans: Sequence[float], alike: dict[tuple[int, int], float]
) -> float:
    """Chance that one more random set agrees with the others as little as the reasoning heads do.

    Args:
        spearmans: the reasoning heads' with each of n controls.
        alike: the controls' among themselves, by pair.
    """
    n = len(spearmans)
    own_pairs = [
        [spearmans[i], *(rho for pair, rho in alike.items() if i in pair)] for i in range(n)
    ]
    means = [float(np.mean(rhos)) for rhos in own_pairs]
    return rank_chance(-float(np.mean(spearmans)), [-mean for mean in means])


def heads_shared(draws: Sequence[Sequence[Head]]) -> float | None:
    """Mean share of its heads that a draw has in common with another; None of fewer than two."""
    pairs = list(combinations([set(draw) for draw in draws if draw], 2))
    if not pairs:
        return None
    return float(np.mean([len(one & other) / len(one) for one, other in pairs]))


def _verdict(numbers: dict[str, Any]) -> str:
    text = [f"On {count(numbers['rows'], 'row')} with controls:"]
    text += [
        _sentence(scorer, comparison, numbers["chance"])
        for scorer, comparison in numbers["scorers"].items()
    ]
    if numbers["heads_shared"]:
        text.append(
            f"Random sets share {percent(numbers['heads_shared'])} of their heads with each other "
            "and none with the reasoning heads, which alone makes them more alike."
        )
    return " ".join(text)


def _sentence(scorer: str, comparison: dict[str, Any], chance: float) -> str:
    among, floor = comparison["spearman_among_controls"], comparison["overlap_soft_floor"]
    draws = draws_in_words(comparison["draws"], comparison["spearman_interval"])
    line = f"{scorer}: Spearman with random heads {signed(comparison['spearman'])} ({draws})"
    p = comparison["p_other_than_random"]
    if among is not None:
        line += f"; random heads among themselves {signed(among)}"
        line += f"; p = {plain(p)} that one more random set stands so far apart"
    line += (
        f"; soft subsets of one seed share {percent(comparison['overlap_soft'])} (the shared "
        f"noise alone gives {percent(floor['permuted'])} with permuted scores and "
        f"{percent(floor['uniform'])} with equal ones, another seed "
        f"{percent(comparison['overlap_other_seed'])}) and top ones "
        f"{percent(comparison['overlap_top'])} (chance {percent(chance)})"
    )
    if among is not None and comparison["spearman"] >= among - limits.CONTROL_MARGIN:
        line += "; the reasoning heads stand out no more than any random set"
    elif not p <= limits.CHANCE:
        line += "; that the reasoning heads stand out may be chance"
    return line + "."
