"""How much do the reasoning heads depend on the probe: its criterion, its size, its sources?

All of it from the stored loss changes (probe_resampling.py), so without a model:

1. Criteria: the overlap of two random probes of one size, less that of a random one with one chosen
   by high loss, or stratified by source. Above 0 the criterion moves the set beyond chance. The
   same of the rank correlation of the two maps; the answer is that of the overlap.
2. Sources: the overlap of two probes of one source, less that of one of it with one of the others,
   and the same of the maps.
3. Sizes: what two disjoint probes share, from few samples up to half the probe, and what is to be
   expected at the full size (detection/set_overlap.py).

Intervals of 1. and 2. resample the probe's samples and are corrected for their number, those of
the overlaps and those of the maps each for their own. The stored probe was chosen by a criterion
itself: where that was high loss, ``random`` means random among the hard ones, which the verdict
says.

``rescore`` (needs the model) scores that many samples with the heads of partial probes by every
rule and of every source, and says rule by rule what the drawn subset keeps, above what shared noise
gives. These are parts of the very probe that chose the heads they are compared with, so they agree
with them more than independent probes would.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.aliases import Floats, Ints
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
    partial_probes,
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
SETS = 20
"""Partial probes of every kind whose heads are scored with."""


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
    gaps, of_maps = _gaps(run, probe, chosen)
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
        "gaps": _spreads(gaps),
        "map_gaps": _spreads(of_maps),
        "expected": [again.expected, again.low, again.high] if again else None,
        "rescored": _rescored(run, heads, probe, estimates, chosen) if chosen.rescore else None,
    }
    outcome = _outcome(numbers)
    title = "How much do the reasoning heads depend on how the probe is chosen?"
    table = _table(gaps, of_maps, curve, again)
    if numbers["rescored"] is not None:
        table = pd.concat([table, _drawn(numbers["rescored"])], ignore_index=True)
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
"""How far two probes are less alike, with its interval; how alike random ones are, and by a rule.

For a source: two of it, and one of it and one of the others.
"""


def _gaps(run: Run, probe: StoredProbe, options: Options) -> tuple[dict[str, Gap], dict[str, Gap]]:
    """By criterion and by source: of the heads in common, and of the maps' rank correlation.

    Intervals from resampled samples, corrected for their number.
    """

    def once(rows: Ints, splits: int, seed: int) -> dict[str, Floats]:
        rng = np.random.default_rng([options.seed, seed])
        of_criteria = criteria_gaps(probe, rows, splits, rng)
        of_sources = source_gaps(probe, rows, splits, rng)
        named = of_criteria | {f"only {name}": values for name, values in of_sources.items()}
        return {name: values[:2] for name, values in named.items()}

    n = len(probe)
    own = once(np.arange(n), options.splits, 0)
    rng = np.random.default_rng(options.seed)
    draws: dict[str, list[Floats]] = {name: [] for name in own}
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

    def gap(name: str, at: int) -> Gap:
        (plain, other), falls = own[name][:, at].tolist(), [fall[at] for fall in draws[name]]
        error = float(np.std(falls or [np.nan], ddof=1))
        return of_errors(plain - other, error, level, samples=n), plain, other

    heads, maps = ({name: gap(name, at) for name in own} for at in (0, 1))
    return heads, maps


def _spreads(gaps: dict[str, Gap]) -> dict[str, list[float]]:
    return {name: [i.estimate, i.low, i.high] for name, (i, _, _) in gaps.items()}


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


COLUMNS = ("kind", "name", "size", "overlap", "random", "gap", "low", "high", "spearman", "top")


def _table(
    gaps: dict[str, Gap],
    of_maps: dict[str, Gap],
    curve: list[tuple[int, float, float, float, float]],
    again: SetOverlap | None,
) -> pd.DataFrame:
    """The columns COLUMNS, NaN where a kind of row has none.

    ``kind``: ``gap`` (of heads in common), ``map gap`` (of the maps' rank correlation), ``size``
    and ``expected``; with rescoring those of ``_drawn``. ``random``: two random probes, or two of
    a source; ``overlap`` or ``spearman``: one by the rule and a random one; ``low`` to ``high``:
    of ``gap`` where there is one, else of ``overlap``.
    """
    rows: list[dict[str, Any]] = [
        {"kind": kind, "name": name, "random": plain, measure: other, "gap": i.estimate,
         "low": i.low, "high": i.high}
        for kind, measure, of in (("gap", "overlap", gaps), ("map gap", "spearman", of_maps))
        for name, (i, plain, other) in of.items()
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
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _drawn(again: dict[str, Any]) -> pd.DataFrame:
    """What the drawn subset keeps with the heads of partial probes, in the same columns.

    ``kind``: ``drawn`` (``overlap`` of soft draws with its interval, ``random``: what permuted
    scores share under the same noise, ``top``: of top-scored rows) and ``drawn gap`` (how much less
    of the subset a rule's parts keep than random ones).
    """
    floor, nothing = again["overlap_soft_floor"]["permuted"], (np.nan, np.nan)
    rows: list[dict[str, Any]] = []
    for name, of in again["by_name"].items():
        low, high = of["overlap_soft_interval"] or nothing
        rows.append(
            {"kind": "drawn", "name": name, "size": of["samples"], "overlap": of["overlap_soft"],
             "random": floor, "low": low, "high": high, "spearman": of["spearman"],
             "top": of["overlap_top"]}
        )  # fmt: skip
    for name, (fall, low, high) in again["falls"].items():
        of = again["by_name"][name]
        rows.append(
            {"kind": "drawn gap", "name": name, "size": of["samples"],
             "overlap": of["overlap_soft"], "random": of["overlap_soft"] + fall, "gap": fall,
             "low": low, "high": high}
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rescored(
    run: Run, heads: list[Any], probe: StoredProbe, estimates: HeadEstimates, options: Options
) -> dict[str, Any]:
    """Scores anew with the heads of partial probes by every rule, and of every source.

    As :func:`rescored`, with the ``samples`` of a part by name, and the falls of those whose parts
    are as large as the random ones.
    """
    parts = partial_probes(probe, SETS, np.random.default_rng(options.seed))
    sizes = {name: len(rows[0]) for name, rows in parts.items()}
    sets = {
        name: [[estimates.heads[i] for i in probe.best(rows)] for rows in of]
        for name, of in parts.items()
    }
    alike = {n: "random" for n, size in sizes.items() if n != "random" and size == sizes["random"]}
    again = rescored(run, NAME, heads, sets, options, against=alike)
    for name, of in again["by_name"].items():
        of["samples"] = sizes[name]
    return again
