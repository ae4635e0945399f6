"""Do rephrasings of the same problems find the same heads?

Two probes of the same problems are no independent ones: what two probes of one population share
(probes.py) is the wrong yardstick for them. The right one deals the phrasings anew. In every
problem that both probes have, a coin decides which of its two measurements goes into which map; if
the phrasing does not matter to the heads, the two maps of real phrasings agree as those of dealt
ones do. That is a permutation test, exact whatever the heads are like:

1. Fall: mean Spearman of the maps under swaps, less that of the real maps. Its interval is the
   middle of the swaps' own Spearman around their mean, corrected for the number of pairs (it
   supposes that a real effect would not change that spread).
2. Found asks that the chance of so low a Spearman under swaps, so corrected, be small, too.

It finds a phrasing that moves the maps one way over many problems. What a phrasing does to each
problem in another way, and to none of the heads on the whole, it takes for noise.

Problems are matched by id, or by what stands behind the source in it, where that matches more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from circuitseer_core import limits
from circuitseer_core.aliases import Floats
from circuitseer_core.detection.importance_table import delta_matrix
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.comparisons import FALSE_FINDING, found_only_if
from circuitseer_core.experiments.head_maps import compared
from circuitseer_core.experiments.intervals import BONFERRONI, bonferroni_level
from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, p_value, percent, signed

LEAST = 8
"""Fewest problems in common: they can be dealt in 128 ways, of which 2.5 % are three."""
SWAPS = 2000
TITLE = "Do rephrasings of the same problems find the same heads?"
HEADS = {
    "found": "The phrasing changes the map of the heads beyond what swapping the phrasings of the "
    "same problems at random does.",
    "no evidence": "No evidence that the phrasing changes the map of the heads.",
    "inconclusive": "Whether the phrasing changes the map of the heads is open.",
}


def swapped_pair(one: Run, other: Run, top: int, pairs: int, seed: int) -> dict[str, Any]:
    """One of ``pairs`` pairs of runs: their maps over the same problems, beside swapped ones.

    Returns:
        pair, heads (of a top set), field (heads measured on all of these problems in both),
        problems, same_text (problems whose text is the same in both); overlap and spearman of the
        maps, swapped_overlap and swapped_spearman (means under swaps), fall with low and high, and
        p, corrected as they are.

    Raises:
        UserError: fewer than 8 problems in common, or no more heads measured on them than are
            chosen.
    """
    first, second, same = _matched(one, other)
    field = first.shape[1]
    if field <= top:
        raise UserError(
            f"{one.name} and {other.name} have {count(field, 'head')} that both measured on all of "
            f"their common problems, and more than {top} are needed to compare: detect in mode "
            "exact"
        )
    own = np.array(compared(first.mean(axis=0), second.mean(axis=0), top))
    swaps = _swapped(first, second, top, seed)
    middle = swaps.mean(axis=0)
    tail = (1 - bonferroni_level(pairs)) / 2
    ends = np.quantile(swaps[:, 0], [tail, 1 - tail])
    low, high = middle[0] - own[0] + (ends - middle[0])
    as_low = int((swaps[:, 0] <= own[0] + 1e-12).sum())
    return {
        "pair": f"{one.name} / {other.name}",
        "heads": top,
        "field": field,
        "problems": len(first),
        "same_text": same,
        "overlap": float(own[1]),
        "swapped_overlap": float(middle[1]),
        "spearman": float(own[0]),
        "swapped_spearman": float(middle[0]),
        "fall": float(middle[0] - own[0]),
        "low": float(low),
        "high": float(high),
        "p": min(1.0, pairs * (1 + as_low) / (1 + SWAPS)),
    }


def _swapped(one: Floats, other: Floats, top: int, seed: int) -> Floats:
    """(SWAPS, 2) Spearman and shared top heads of maps (n, H), the rows swapped at random."""
    rng = np.random.default_rng(seed)
    middle, half = (one + other).mean(axis=0) / 2, (one - other) / (2 * len(one))
    signs = rng.choice([-1.0, 1.0], size=(SWAPS, len(one)))
    return np.array([compared(middle + s @ half, middle - s @ half, top) for s in signs])


def _matched(one: Run, other: Run) -> tuple[Floats, Floats, int]:
    """Loss changes (n, H) of the common problems and heads in both runs; and equal texts."""
    sides = [delta_matrix(run.importance_dir, "probe") for run in (one, other)]
    probes = [
        _probe(run).reindex(ids) for run, (ids, _, _) in zip((one, other), sides, strict=True)
    ]
    names = max(
        ([_once(probe[name]) for probe in probes] for name in ("id", "own")),
        key=lambda both: len(both[0].index.intersection(both[1].index)),
    )  # the first of equals: by the whole id
    common = names[0].index.intersection(names[1].index).sort_values()
    if len(common) < LEAST:
        raise UserError(
            f"{one.name} and {other.name} have {count(len(common), 'problem')} in common by id, "
            f"and {LEAST} are needed: give a problem and its rephrasing the same id in their data"
        )
    rows = [of[common].to_numpy() for of in names]
    heads = [head for head in sides[0][1] if head in set(sides[1][1])]
    deltas = []
    for (_, measured, delta), at in zip(sides, rows, strict=True):
        place = {head: i for i, head in enumerate(measured)}
        deltas.append(delta[np.ix_(at, [place[head] for head in heads])])
    whole = np.logical_and.reduce([np.isfinite(delta).all(axis=0) for delta in deltas])
    texts = [probe["text"].to_numpy()[at] for probe, at in zip(probes, rows, strict=True)]
    return deltas[0][:, whole], deltas[1][:, whole], int((texts[0] == texts[1]).sum())


def _probe(run: Run) -> pd.DataFrame:
    """The probe's samples by id: id, text, and ``own``, what stands behind the source in the id."""
    probe = run.probe()
    probe = probe[probe["set"] == "probe"]
    pairs = zip(probe["id"].astype(str), probe["source"].astype("string").fillna(""), strict=True)
    own = [sample.removeprefix(f"{source}/") for sample, source in pairs]
    return probe.assign(own=own).set_index("id", drop=False)


def _once(names: pd.Series) -> pd.Series:
    """Row numbers by name, of names that are there once."""
    rows = pd.Series(np.arange(len(names)), index=names.astype(str).to_numpy())
    return rows[~rows.index.duplicated(keep=False)]


def outcomes(table: pd.DataFrame) -> list[Outcome]:
    """The answer of every pair."""
    return [
        found_only_if(
            Outcome.judge(
                f"fall of the maps' Spearman by the phrasing ({line.pair})",
                float(line.fall), float(line.low), float(line.high),
                relevant=limits.CORRELATION, comparisons=len(table), correction=BONFERRONI,
                p=float(line.p),
            ),
            bool(line.p < FALSE_FINDING),
        )
        for line in table.itertuples()
    ]  # fmt: skip


def words(line: dict[str, Any], pairs: int) -> str:
    """A pair in words."""
    corrected = f", {BONFERRONI} over {pairs} pairs" if pairs > 1 else ""
    text = (
        f"{line['pair']}: over {count(line['problems'], 'problem')} in both phrasings and "
        f"{count(line['field'], 'head')}, maps with Spearman {signed(line['spearman'])}; with the "
        f"phrasings swapped at random {signed(line['swapped_spearman'])} on average (fall "
        f"{signed(line['fall'])}, 95 % interval {signed(line['low'])} to {signed(line['high'])}; "
        f"{p_value(line['p'])}{corrected}); {percent(line['overlap'])} of the "
        f"{count(line['heads'], 'best head')} in common, where swapped maps share "
        f"{percent(line['swapped_overlap'])}"
    )
    if line["same_text"]:
        text += f", though {line['same_text']} of the problems have the same text in both"
    return text


def plots(table: pd.DataFrame) -> tuple[Plot, ...]:
    """The falls with their intervals."""
    caption = (
        "How much less the maps of two phrasings of the same problems agree (Spearman) than maps "
        "whose phrasings are swapped at random"
    )
    if len(table) > 1:
        caption += f"; intervals corrected for {len(table)} pairs"
    return (
        Plot(
            kind="intervals", label="pair", x="fall", low="low", high="high",
            x_title="fall of the rank correlation", references={"no effect": 0.0},
            caption=f"{caption}.",
        ),
    )  # fmt: skip
