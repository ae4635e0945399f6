"""Would another probe choose the same heads, and would the scores then choose the same samples?

1. Independent probe: the overlap to expect with the heads of another probe of the same size, from
   disjoint parts of this one (detection/set_overlap.py), with an interval.
2. Halves: split the probe in two at random, many times. Spearman of the two maps and overlap of the
   two top sets: what two independent probes of half the size agree on.
3. Bootstrap: resample the probe with replacement, rank the heads again, take as many as now: which
   heads hang on a few samples. The chosen ones start ahead in it, so their mean probability is too
   high for the overlap with another probe.
4. With ``rescore`` (needs the model): that many scored samples, scored with the heads of each of a
   number of bootstrapped sets; Spearman of the scores and overlap of the subsets with those of the
   chosen heads.

Where heads were taken by specificity, all of it is done on specificity, resampling probe and
contrast set apart. After racing only heads that got the whole probe take part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.aliases import Floats, Head
from circuitseer_core.correlation import correlation, ranks
from circuitseer_core.detection.head_stability import bootstrap_sets
from circuitseer_core.detection.heads import select_heads
from circuitseer_core.detection.set_overlap import (
    HeadEstimates,
    expected_overlap,
    shared_tops,
)
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.cost import forward_seconds, mean_tokens
from circuitseer_core.experiments.experiment import ExperimentResult
from circuitseer_core.experiments.head_resampling import RescoringOptions, rescored
from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.runs.folder import Run
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.wording import count, percent, plain, signed

NAME = "stability"


class Options(RescoringOptions):
    """Options of ``validate stability``."""

    bootstraps: int = Field(1000, ge=10, description="resampled probes")
    splits: int = Field(100, ge=1, description="random halves")
    sets: int = Field(20, ge=2, description="bootstrapped head sets to score with")


def estimated_seconds(run: Run, **options: Any) -> float:
    """About what it takes: bootstraps of every head, and two passes to score anew."""
    chosen = Options.of(**options)
    resamples = (chosen.bootstraps + chosen.splits) * len(run.probe()) * len(run.heads())
    seconds = 5 + 1e-8 * resamples
    if chosen.rescore:
        seconds += forward_seconds(run, 2 * chosen.rescore * mean_tokens(run, chosen.scores))
    return seconds


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module.

    Raises:
        UserError: no detection yet, or (to rescore) no scores, no texts or no model.
    """
    chosen = Options.of(**options)
    facts = Evidence(run, chosen.scores if run.scorings() else None)
    rank_by = facts.settings.rank_by
    heads = facts.chosen or select_heads(run.heads())
    estimates = HeadEstimates.of_run(run, rank_by)
    if not set(heads) <= set(estimates.heads):
        raise UserError("the chosen heads were not all measured on the whole probe")
    rng = np.random.default_rng(chosen.seed)
    sets = bootstrap_sets(estimates, len(heads), chosen.bootstraps, rng)
    table = _table(estimates, heads, np.bincount(np.concatenate(sets)) / len(sets))
    own = table.loc[table["chosen"], "probability"]
    again = expected_overlap(estimates, len(heads), seed=chosen.seed)
    numbers: dict[str, Any] = {
        "heads": len(heads),
        "rank_by": rank_by,
        "probe_samples": estimates.samples[0],
        "field": len(estimates.heads),
        "raced": estimates.raced,
        "expected_overlap": again.expected if again else None,
        "expected_overlap_interval": [again.low, again.high] if again else None,
        "bootstrap_overlap": float(own.mean()),
        "certain_heads": int((own >= limits.CERTAIN).sum()),
        "chance_overlap": len(heads) / len(estimates.heads),
        "halves": _halves(estimates, len(heads), chosen.splits, rng),
        "rescored": None,
    }
    if chosen.rescore:
        picks = [[estimates.heads[i] for i in rows] for rows in sets[: chosen.sets]]
        numbers["rescored"] = rescored(run, NAME, heads, {"bootstraps": picks}, chosen)
    title = "Would another probe choose the same heads?"
    return ExperimentResult(
        NAME, title, _verdict(numbers), numbers, table, _outcome(numbers), _PLOTS
    )


_PLOTS = (
    Plot(
        kind="bars", label="name", x="probability", group="chosen", shares=True,
        where={"shown": True}, x_title="share of the bootstraps that choose it",
        caption="How often each head (layer.head) is among the chosen when the probe's samples are "
        "resampled: the chosen ones and those nearest to them.",
    ),
)  # fmt: skip


def _outcome(numbers: dict[str, Any]) -> Outcome | None:
    """Whether another probe is expected to share more of the heads than chance."""
    if numbers["expected_overlap"] is None:
        return None
    return Outcome.judge(
        "share of the heads that another probe would choose too",
        numbers["expected_overlap"], *numbers["expected_overlap_interval"],
        relevant=limits.OVERLAP, null=numbers["chance_overlap"],
    )  # fmt: skip


def _table(estimates: HeadEstimates, chosen: list[Head], hits: Floats) -> pd.DataFrame:
    """layer, head, estimate, probability, chosen: heads chosen now or in any bootstrap.

    ``name``: layer.head; ``shown``: in the figure.
    """
    probability = np.zeros(len(estimates.heads))
    probability[: len(hits)] = hits
    table = pd.DataFrame(estimates.heads, columns=["layer", "head"])
    table[estimates.rank_by] = estimates.everything()
    table["probability"] = probability
    table["chosen"] = [head in set(chosen) for head in estimates.heads]
    table = table[table["chosen"] | (table["probability"] > 0)]
    table = table.sort_values(
        ["probability", estimates.rank_by], ascending=False, ignore_index=True
    )
    table["name"] = [
        f"{layer}.{head}" for layer, head in zip(table["layer"], table["head"], strict=True)
    ]
    return table.assign(shown=table.index < 2 * len(chosen))


def _halves(
    estimates: HeadEstimates, top: int, splits: int, rng: np.random.Generator
) -> dict[str, Any] | None:
    """Agreement of disjoint halves: means and the middle 90 %; None below two samples a half."""
    if min(estimates.samples) < 4:
        return None
    one, other = estimates.splits(rng, 2, splits)
    alike = [correlation(ranks(a), ranks(b)) for a, b in zip(one, other, strict=True)]
    values = np.column_stack([alike, shared_tops(one, other, top)])
    low, high = np.quantile(values, [0.05, 0.95], axis=0, method="inverted_cdf")
    return {
        "samples": estimates.samples[0] // 2,
        "spearman": float(values[:, 0].mean()),
        "spearman_range": [float(low[0]), float(high[0])],
        "overlap": float(values[:, 1].mean()),
        "overlap_range": [float(low[1]), float(high[1])],
    }


def _verdict(numbers: dict[str, Any]) -> str:
    k = numbers["heads"]
    field = (
        f"the {numbers['field']} heads of the race's last field"
        if numbers["raced"]
        else (f"{count(numbers['field'], 'head')}")
    )
    if numbers["expected_overlap"] is None:
        text = (
            f"{count(numbers['probe_samples'], 'probe sample')} and {field} are too few to say how "
            "many of the chosen heads another probe would choose."
        )
    else:
        low, high = numbers["expected_overlap_interval"]
        text = (
            f"An independent probe of {count(numbers['probe_samples'], 'sample')} would be "
            f"expected to share {percent(numbers['expected_overlap'])} of the "
            f"{count(k, 'chosen head')} (95 % interval for one such probe {percent(low)} to "
            f"{percent(high)}; chance {percent(numbers['chance_overlap'])}), chosen from {field}."
        )
    text += (
        f" {numbers['certain_heads']} of them are chosen in at least {percent(limits.CERTAIN)} of "
        "the bootstraps of this very probe."
    )
    halves = numbers["halves"]
    if halves is not None:
        text += (
            f" Two disjoint halves of {count(halves['samples'], 'sample')} give maps with Spearman "
            f"{signed(halves['spearman'])} and top sets that share {percent(halves['overlap'])} "
            f"({plain(halves['overlap'] * k)} of {k})."
        )
    again = numbers["rescored"]
    if again is not None:
        text += (
            f" Scoring {count(again['rows'], 'sample')} with {again['sets']} bootstrapped sets "
            f"instead gives Spearman {signed(again['spearman'])} with the scores of the chosen "
            f"heads; soft subsets of one seed share {percent(again['overlap_soft'])} (permuted "
            f"scores: {percent(again['overlap_soft_floor']['permuted'])}; of what that leaves "
            f"{percent(again['overlap_soft_beyond_floor'])}), top ones "
            f"{percent(again['overlap_top'])}.{_one_more(again)} The bootstraps are of the very "
            "probe that chose these heads, so they agree with them more than other probes would."
        )
    return text


def _one_more(again: dict[str, Any]) -> str:
    """For one more such set: of the soft draw and of the top-scored rows."""
    of = again["by_name"]["bootstraps"]
    ends = [of[f"overlap_{which}_interval"] for which in ("soft", "top")]
    if None in ends:
        return ""
    (low, high), (top_low, top_high) = ends
    return (
        f" For one more such set the 95 % intervals are {percent(low)} to {percent(high)} (soft) "
        f"and {percent(top_low)} to {percent(top_high)} (top)."
    )
