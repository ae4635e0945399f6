"""The table of a training study: a row per arm, measure and source, and every model by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from circuitseer_core import limits
from circuitseer_core.aliases import Floats
from circuitseer_core.distributions import holm
from circuitseer_core.experiments.intervals import LEVEL, bonferroni_level
from circuitseer_core.training.effects import difference, seeds_to_see, seen, seen_at_best
from circuitseer_core.training.settings import UNTRAINED


def effects_table(
    tables: dict[str, list[pd.DataFrame]], reference: str, see: float = limits.TRAINED
) -> pd.DataFrame:
    """A row per arm, measure and source: mean, and the difference from the reference arm.

    Args:
        tables: held-out tables by kind, one a training seed, all over the same items.
        reference: the kind that the others are compared with; ``untrained`` is compared too.
        see: the difference that ``seeds_needed`` is for, in nats or as a share of right answers.

    Columns: arm, measure (loss in nats, or accuracy), source (``all`` weighs items alike), whole,
    seeds (of a compared kind those that the reference has too: no others are judged), items, mean,
    difference, low, high, p, p_holm (over the trained arms of one measure on all items), stderr
    (over seeds and items) and items_stderr (over items alone), seed_sd, item_sd, seeds_needed (to
    see a difference of ``see``; none where these items do not show it with any number), seen (the
    least difference that these seeds and items show) and seen_at_best (these items with any number
    of seeds), each with 80 % power: on all items where the p is corrected for the number of arms,
    as it will be.
    """
    rows = []
    corrected = bonferroni_level(len(set(tables) - {reference, UNTRAINED}))
    for kind, measure, source, values, other in _cells(tables, reference):
        if kind != reference:
            values = values[: len(other)]
        row = {
            "arm": kind, "measure": measure, "source": source, "whole": source == "all",
            "seeds": len(values), "items": values.shape[1], "mean": float(values.mean()),
        }  # fmt: skip
        if kind != reference:
            level = corrected if source == "all" and kind != UNTRAINED else LEVEL
            row |= _difference_row(_paired(values, other, kind), see, level)
        rows.append(row)
    table = pd.DataFrame(rows)
    table["p_holm"] = np.nan
    for measure in table["measure"].unique():
        judged = (
            (table["measure"] == measure)
            & table["whole"]
            & table["p"].notna()
            & (table["arm"] != UNTRAINED)
        )
        table.loc[judged, "p_holm"] = holm(table.loc[judged, "p"].to_numpy(np.float64))
    return table


def _values(tables: list[pd.DataFrame], column: str, source: str) -> Floats:
    """(seeds, items) of one source, items without a value left out."""
    rows = [t if source == "all" else t[t["source"] == source] for t in tables]
    stacked = np.stack([t[column].to_numpy(np.float64) for t in rows])
    return stacked[:, np.isfinite(stacked).all(axis=0)]


def _difference_row(differences: Floats, see: float, level: float) -> dict[str, Any]:
    """(seeds, items) paired differences as columns of a row; ``level``: at which one is seen."""
    if differences.shape[1] < 2:
        return {}
    if not differences.any():  # answers alike, item by item: no spread to judge them by
        return {"difference": 0.0}
    gap = difference(differences)
    return {
        "difference": gap.mean, "low": gap.low, "high": gap.high, "p": gap.p,
        "stderr": gap.stderr, "items_stderr": gap.items_stderr,
        "seed_sd": gap.seed_sd, "item_sd": gap.item_sd,
        "seeds_needed": seeds_to_see(gap, see, level),
        "seen": seen(gap, level),
        "seen_at_best": None if gap.seed_sd is None else seen_at_best(gap, level),
    }  # fmt: skip


def _paired(values: Floats, other: Floats, kind: str) -> Floats:
    """(seeds, items) differences; the one model before training against every seed."""
    if kind == UNTRAINED:
        values = np.repeat(values, len(other), axis=0)
    seeds = min(len(values), len(other))
    return np.asarray(values[:seeds] - other[:seeds])


def by_seed(
    tables: dict[str, list[pd.DataFrame]], reference: str, seeds: dict[str, list[int]]
) -> list[dict[str, Any]]:
    """Mean and difference from the reference of every model, on all items and by source.

    Args:
        tables, reference: as above.
        seeds: the training seeds of every kind's tables.
    """
    lines = []
    for kind, measure, source, values, other in _cells(tables, reference):
        line: dict[str, Any] = {"arm": kind, "measure": measure, "source": source}
        line |= {"seeds": seeds.get(kind, []), "means": values.mean(axis=1).tolist()}
        if kind != reference:
            line["differences"] = _paired(values, other, kind).mean(axis=1).tolist()
        lines.append(line)
    return lines


def _cells(
    tables: dict[str, list[pd.DataFrame]], reference: str
) -> Iterator[tuple[str, str, str, Floats, Floats]]:
    """Kind, measure, source, its (seeds, items) and the reference's, where there are any."""
    base = tables[reference]
    sources = ["all", *sorted(base[0]["source"].unique())]
    for kind, own in tables.items():
        for measure, column in (("loss", "loss"), ("accuracy", "correct")):
            for source in sources:
                values = _values(own, column, source)
                if values.size:
                    yield kind, measure, source, values, _values(base, column, source)
