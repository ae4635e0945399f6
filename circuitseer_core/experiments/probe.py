"""How much do the reasoning heads depend on the probe: its criterion, its size, its sources?

All of it from the stored loss changes (probe_resampling.py), so without a model:

1. Criteria: the overlap of two random probes of one size, less that of a random one with one chosen
   by high loss, or stratified by source. Above 0 the criterion moves the set beyond chance.
2. Sources: the overlap of two probes of one source, less that of one of it with one of the others.
3. Sizes: what two disjoint probes share, from few samples up to half the probe, and what is to be
   expected at the full size (detection/set_overlap.py).

Intervals of 1. and 2. resample the probe's samples and are corrected for their number. The stored
probe was chosen by a criterion itself: where that was high loss, ``random`` means random among the
hard ones, which the verdict says.

``rescore`` (needs the model) scores that many samples with the heads of half probes by every rule
and says what the drawn subset keeps, above what shared noise gives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.aliases import Ints
from circuitseer_core.detection.heads import select_heads
from circuitseer_core.detection.set_overlap import HeadEstimates, SetOverlap, expected_overlap
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.cost import forward_seconds, mean_tokens
from circuitseer_core.experiments.experiment import ExperimentResult
from circuitseer_core.experiments.head_resampling import RescoringOptions, rescored
from circuitseer_core.experiments.intervals import BONFERRONI, Interval, bonferroni_level, of_errors
from circuitseer_core.experiments.probe_resampling import (
    StoredProbe,
    criteria_gaps,
    size_curve,
    source_gaps,
)
from circuitseer_core.experiments.probe_words import plots, verdict
from circuitseer_core.runs.experiment_records import Outcome
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import Progress
from circuitseer_core.signatures.evidence import Evidence

NAME = "probe"
LEAST = 8


class Options(RescoringOptions):
    """Options of ``validate probe``."""

    splits: int = Field(40, ge=4, description="random halves of the probe")
    bootstraps: int = Field(100, ge=20, description="resamples of the probe's samples")


def estimated_seconds(run: Run, **options: Any) -> float:
    """About what it takes."""
    chosen = Options.of(**options)
    heads = len(run.heads())
    again = forward_seconds(run, chosen.rescore * mean_tokens(run, chosen.scores) * 2)
    return (
        5 + 1.5e-7 * chosen.bootstraps * chosen.splits * heads * 10 + again * (chosen.rescore > 0)
    )


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module.

    Raises:
        UserError: no detection yet, fewer than 8 probe samples, or (to rescore) no scores or model.
    """
    chosen = Options.of(**options)
    facts = Evidence(run, chosen.scores if run.scorings() else None)
    heads = facts.chosen or select_heads(run.heads())
    estimates = HeadEstimates.of_run(run)
    probe = stored_probe(run, estimates, len(heads))
    if len(probe) < LEAST:
        raise UserError(f"the probe has {len(probe)} samples, and {LEAST} are needed to divide it")
    gaps = _gaps(run, probe, chosen)
    curve = size_curve(probe, chosen.splits, np.random.default_rng(chosen.seed))
    again = expected_overlap(estimates, len(heads), seed=chosen.seed)
    criterion = run.detection.settings.probe_criterion if run.detection.settings else None
    numbers: dict[str, Any] = {
        "heads": len(heads),
        "field": len(estimates.heads),
        "raced": estimates.raced,
        "samples": len(probe),
        "criterion": criterion,
        "chance": len(heads) / len(estimates.heads),
        "correction": BONFERRONI,
        "gaps": {name: [i.estimate, i.low, i.high] for name, (i, _, _) in gaps.items()},
        "expected": [again.expected, again.low, again.high] if again else None,
        "rescored": _rescored(run, heads, probe, estimates, chosen) if chosen.rescore else None,
    }
    outcome = _outcome(numbers)
    title = "How much do the reasoning heads depend on how the probe is chosen?"
    table = _table(gaps, curve, again)
    return ExperimentResult(
        NAME, title, verdict(numbers, outcome), numbers, table, outcome, plots(numbers)
    )


def stored_probe(run: Run, estimates: HeadEstimates, top: int) -> StoredProbe:
    """The stored probe of a run, for its ``top`` heads."""
    from circuitseer_core.detection.importance_table import delta_matrix

    ids, heads, delta = delta_matrix(run.importance_dir, "probe")
    at = {head: i for i, head in enumerate(heads)}
    samples = run.probe()
    samples = samples[samples["set"] == "probe"].set_index("id").reindex(ids)
    codes, names = pd.factorize(samples["source"].astype("string").fillna(""))
    return StoredProbe(
        delta=delta[:, [at[head] for head in estimates.heads]],
        clean=samples["base_loss"].to_numpy(dtype=np.float64),
        source=codes.astype(np.int64),
        names=tuple(map(str, names)),
        top=top,
    )


Gap = tuple[Interval, float, float]
"""How far an overlap falls, with its interval; and the two overlaps."""


def _gaps(run: Run, probe: StoredProbe, options: Options) -> dict[str, Gap]:
    """By criterion and by source; intervals from resampled samples, corrected for their number."""

    def once(rows: Ints, splits: int, seed: int) -> dict[str, tuple[float, float]]:
        rng = np.random.default_rng([options.seed, seed])
        of_criteria = {
            name: values[:2] for name, values in criteria_gaps(probe, rows, splits, rng).items()
        }
        of_sources = source_gaps(probe, rows, splits, rng)
        return of_criteria | {f"only {name}": values for name, values in of_sources.items()}

    n = len(probe)
    own = once(np.arange(n), options.splits, 0)
    rng = np.random.default_rng(options.seed)
    draws: dict[str, list[float]] = {name: [] for name in own}
    with Progress(
        run, "probe", options.bootstraps, unit="resamples", phase="Resampling the probe"
    ) as progress:
        for i in range(options.bootstraps):
            again = once(rng.integers(0, n, n), max(4, options.splits // 4), i + 1)
            for name, (plain, other) in again.items():
                if name in draws:
                    draws[name].append(plain - other)
            progress.advance()
    level = bonferroni_level(len(own))
    return {
        name: (
            of_errors(
                plain - other, float(np.std(draws[name] or [np.nan], ddof=1)), level, samples=n
            ),
            plain,
            other,
        )
        for name, (plain, other) in own.items()
    }


def _outcome(numbers: dict[str, Any]) -> Outcome:
    """Found where any rule moves the set; else what the least certain of them says."""
    judged = {
        name: Outcome.judge(
            f"fall of the shared heads where the probe is {_rule(name)} instead of random,",
            *gap,
            relevant=limits.OVERLAP,
            comparisons=len(numbers["gaps"]),
            correction=BONFERRONI,
        )
        for name, gap in numbers["gaps"].items()
    }
    for state in ("found", "inconclusive", "no evidence"):
        of_state = [one for one in judged.values() if one.state == state]
        if of_state:
            return max(of_state, key=lambda one: one.estimate or 0.0)
    return Outcome(state="inconclusive", measure="dependence on the probe")


def _rule(name: str) -> str:
    return f"{name} samples" if name.startswith("only ") else f"chosen by {name}"


def _table(
    gaps: dict[str, Gap],
    curve: list[tuple[int, float, float, float, float]],
    again: SetOverlap | None,
) -> pd.DataFrame:
    """kind (gap, size, expected), name, size, overlap, random (overlap of random probes or within
    a source), gap, low, high, spearman."""
    rows: list[dict[str, Any]] = [
        {"kind": "gap", "name": name, "random": plain, "overlap": other, "gap": i.estimate,
         "low": i.low, "high": i.high}
        for name, (i, plain, other) in gaps.items()
    ]  # fmt: skip
    rows += [
        {"kind": "size", "name": f"{size}", "size": size, "overlap": share, "low": low,
         "high": high, "spearman": alike}
        for size, share, low, high, alike in curve
    ]  # fmt: skip
    if again is not None:
        rows.append(
            {"kind": "expected", "name": f"{again.samples}", "size": again.samples,
             "overlap": again.expected, "low": again.low, "high": again.high}
        )  # fmt: skip
    columns = ["kind", "name", "size", "overlap", "random", "gap", "low", "high", "spearman"]
    return pd.DataFrame(rows, columns=columns)


def _rescored(
    run: Run, heads: list[Any], probe: StoredProbe, estimates: HeadEstimates, options: Options
) -> dict[str, Any]:
    """Scores anew with the heads of half probes by every rule, and of every source."""
    rng = np.random.default_rng(options.seed)
    everyone, half = np.arange(len(probe)), len(probe) // 2
    parts = [rule(everyone, half, rng) for rule in probe.rules().values()]
    parts += list(probe.sources().values())
    sets = [[estimates.heads[i] for i in probe.best(rows)] for rows in parts]
    return rescored(run, NAME, heads, sets, options)
