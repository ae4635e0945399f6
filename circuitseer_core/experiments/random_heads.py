"""Do the reasoning heads say anything that random heads of the same layers do not?

On the rows that carry every control, for every score that depends on heads and each of its draws:

1. Spearman of the score with the control's score.
2. Overlap of the subsets drawn with both: softly (the same noise for both, so that only the scores
   differ) and by top-k.

Yardsticks: the controls against each other (how alike are *any* two sets of heads?), a second soft
draw from the same scores under another seed, and what the shared noise alone gives (overlap.py).

3. Each set's mean Spearman with all the others. If the reasoning heads were one more random set,
   theirs would be the lowest of n + 1 with probability 1/(n + 1). So small a number of sets cannot
   stand a correction for several scores: they are held against what one more random set might do,
   as in set_effects.py, and corrected by Holm. Random sets may share heads with each other and
   share none with the reasoning heads, which alone makes them somewhat more alike: how many they
   share is told.
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
from circuitseer_core.experiments.comparisons import HOLM, found_only_if
from circuitseer_core.experiments.experiment import ExperimentOptions, ExperimentResult
from circuitseer_core.experiments.set_effects import Against, agreements, apart, decided
from circuitseer_core.hashing import remix, to_gumbels
from circuitseer_core.runs.columns import control_columns
from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.scorers import HEAD_SCORERS
from circuitseer_core.selection.budgets import rows_of
from circuitseer_core.selection.gumbel import draw_hashes
from circuitseer_core.selection.overlap import drawn, noise_floor, shared
from circuitseer_core.wording import count, listing, percent, plain, signed

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
    lines: list[dict[str, Any]] = []
    summary: dict[str, dict[str, Any]] = {}
    standing: list[Against] = []
    for scorer in scorers:
        comparison = compare(frame, scorer, noise, other, chosen)
        lines += comparison.pop("lines")
        standing.append(comparison.pop("apart"))
        summary[scorer] = comparison
    for comparison, decision in zip(summary.values(), decided(standing), strict=True):
        comparison["apart"] = decision
    numbers = {
        "rows": len(frame),
        "chance": chosen.fraction,
        "heads_shared": heads_shared(run.scoring(chosen.scores).control_heads),
        "scorers": summary,
    }
    title = "Do random heads give the same scores?"
    table = pd.DataFrame(lines)
    outcome = _outcome(summary)
    return ExperimentResult(NAME, title, _verdict(numbers), numbers, table, outcome, _PLOTS)


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
    alike = np.array([[correlation(one, two) for two in ranked] for one in ranked])
    among = alike[np.triu_indices(len(controls), 1)]
    own = np.array([line["spearman"] for line in lines])
    again = drawn(score, other, options.temperature, k)
    floor = noise_floor(score, noise, options.temperature, k, options.seed)
    mean_soft = float(np.mean([line["overlap_soft"] for line in lines]))
    return {
        "lines": lines,
        "spearman": agreement.mean if agreement else float("nan"),
        "spearman_interval": agreement.interval if agreement else None,
        "draws": len(controls),
        "p_other_than_random": rank_chance(-float(own.mean()), (-agreements(own, alike)).tolist()),
        "apart": apart(own, alike, 0.0, len(frame)),
        "spearman_among_controls": float(among.mean()) if len(among) else None,
        "overlap_soft": mean_soft,
        "overlap_soft_interval": over_draws([line["overlap_soft"] for line in lines], (0, 1)),
        "overlap_soft_floor": floor.to_json(),
        "overlap_soft_beyond_floor": floor.beyond(mean_soft),
        "overlap_top": float(np.mean([line["overlap_top"] for line in lines])),
        "overlap_top_interval": over_draws([line["overlap_top"] for line in lines], (0, 1)),
        "overlap_other_seed": shared(soft, again),
    }


def _outcome(scorers: dict[str, dict[str, Any]]) -> Outcome | None:
    """Found where the reasoning heads stand apart in any score; else by the least certain one."""
    judged = []
    for scorer, comparison in scorers.items():
        gap = comparison["apart"]
        outcome = Outcome.judge(
            f"Spearman of {scorer} among random sets less that of the reasoning heads with them",
            gap["gap"], gap["low"], gap["high"],
            relevant=limits.CONTROL_MARGIN, comparisons=len(scorers),
            correction=HOLM if len(scorers) > 1 else None, p=gap.get("p_holm"),
        )  # fmt: skip
        judged.append(found_only_if(outcome, gap["found"]))
    for state in ("found", "inconclusive", "no evidence"):
        of_state = [one for one in judged if one.state == state]
        if of_state:
            return max(of_state, key=lambda one: one.estimate or 0.0)
    return None


def heads_shared(draws: Sequence[Sequence[Head]]) -> float | None:
    """Mean share of its heads that a draw has in common with another; None of fewer than two."""
    pairs = list(combinations([set(draw) for draw in draws if draw], 2))
    if not pairs:
        return None
    return float(np.mean([len(one & other) / len(one) for one, other in pairs]))


def _verdict(numbers: dict[str, Any]) -> str:
    scorers = numbers["scorers"]
    text = [f"On {count(numbers['rows'], 'row')} with controls:"]
    text += [
        _sentence(scorer, comparison, numbers["chance"]) for scorer, comparison in scorers.items()
    ]
    standing_out = [name for name, comparison in scorers.items() if comparison["apart"]["found"]]
    over = f" (Holm over {count(len(scorers), 'score')})" if len(scorers) > 1 else ""
    if standing_out:
        text.append(
            f"The reasoning heads stand apart from random sets in {listing(standing_out)}{over}."
        )
    else:
        text.append(f"No evidence that the reasoning heads stand apart from random sets{over}.")
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
    if among is not None:
        line += f"; random heads among themselves {signed(among)}"
        p = plain(comparison["p_other_than_random"])
        line += f"; p = {p} by rank that one more random set stands so far apart"
    soft, top = (_share(comparison, name) for name in ("overlap_soft", "overlap_top"))
    line += (
        f"; soft subsets of one seed share {soft} (the shared "
        f"noise alone gives {percent(floor['permuted'])} with permuted scores and "
        f"{percent(floor['uniform'])} with equal ones; of what permuted scores leave "
        f"{percent(comparison['overlap_soft_beyond_floor'])}; another seed "
        f"{percent(comparison['overlap_other_seed'])}) and top ones {top} "
        f"(chance {percent(chance)})"
    )
    if among is not None and not comparison["apart"]["found"]:
        line += "; that the reasoning heads stand out is not shown"
    return line + "."


def _share(comparison: dict[str, Any], name: str) -> str:
    """A mean share over the draws, with its interval: "95 % (93 to 97 %)"."""
    ends = comparison[f"{name}_interval"]
    mean = percent(comparison[name])
    return mean if ends is None else f"{mean} ({percent(ends[0])} to {percent(ends[1])} over draws)"
