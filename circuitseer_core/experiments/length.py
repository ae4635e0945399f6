"""How far length drives each scorer.

1. Spearman of every scorer with the number of scored tokens, over all rows and by source.
2. The same of the random-head controls, and Spearman of the scorer with its controls.
3. With a reference (worked steps, a level, any number): Spearman with it, and the partial rank
   correlation at fixed length, r_xy·z = (r_xy − r_xz r_yz) / √((1 − r_xz²)(1 − r_yz²)), for the
   reasoning heads and for the controls. A score that says something about the question and not
   about its length, and says it because of *these* heads, shows in the difference of the last two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.aliases import Floats
from circuitseer_core.correlation import (
    control_agreement,
    correlation,
    draws_in_words,
    over_draws,
    partial,
    rank_chance,
    ranks,
    spearman,
)
from circuitseer_core.distributions import holm, spearman95
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.experiment import ExperimentOptions, ExperimentResult
from circuitseer_core.experiments.references import (
    Reference,
    column_of,
    count_in_responses,
    worked_steps,
)
from circuitseer_core.runs.columns import PLAIN_SCORERS, control_columns
from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import count, plain, signed

NAME = "length"
LEAST_ROWS = 20
"""Sources with fewer rows get no line: a rank correlation of so few says nothing."""


class Options(ExperimentOptions):
    """Options of ``validate length``."""

    scores: str = Field("default", description="which scoring")
    count: str | None = Field(None, description="a text to count in the response as reference")
    column: str | None = Field(None, description="a numeric column as reference")


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module. Without a reference asked for, ``<<`` is counted in sources most
    of whose responses have it.

    Raises:
        UserError: no scores, or no such column.
    """
    chosen = Options.of(**options)
    if chosen.count and chosen.column:
        raise UserError("give count or column, not both")
    scorers = [s for s in run.scoring(chosen.scores).scorers if s not in PLAIN_SCORERS]
    frame = run.scores(chosen.scores)
    reference = _reference(run, chosen)
    table = length_table(frame, scorers, reference)
    everything = table[table["source"] == "all"].set_index("scorer").drop(columns="source")
    numbers = {
        "rows": len(frame),
        "reference": reference.label if reference else None,
        "scorers": everything.to_dict("index"),
    }
    if reference is not None:
        numbers["reference_rows"] = int(np.isfinite(reference.values).sum())
    verdict = _verdict(everything, reference)
    title = "How far does length drive the scores?"
    return ExperimentResult(NAME, title, verdict, numbers, table, _outcome(everything), _PLOTS)


_PLOTS = (
    Plot(
        kind="intervals", label="scorer", x="length", low="length_low", high="length_high",
        where={"source": "all"}, x_title="Spearman with the number of tokens",
        references={"no correlation": 0.0},
        caption="Rank correlation of every scorer with the number of scored tokens, over all rows, "
        "with 95 % intervals.",
    ),
)  # fmt: skip


def _outcome(everything: pd.DataFrame) -> Outcome | None:
    """Whether length drives the default scorer (the first, where that is missing)."""
    if everything.empty:
        return None
    name = "variance" if "variance" in everything.index else str(everything.index[0])
    line = everything.loc[name]
    return Outcome.judge(
        f"Spearman of {name} with the number of tokens",
        float(line["length"]), float(line["length_low"]), float(line["length_high"]),
        relevant=limits.CORRELATION, side="either",
    )  # fmt: skip


def _reference(run: Run, options: Options) -> Reference | None:
    if options.count:
        return count_in_responses(run, options.scores, options.count)
    if options.column:
        return column_of(run, options.scores, options.column)
    return worked_steps(run, options.scores)


def length_table(
    frame: pd.DataFrame, scorers: Sequence[str], reference: Reference | None
) -> pd.DataFrame:
    """A row a scorer and source (``all`` first): scorer, source, rows, length, control, …

    ``length``: Spearman with n_tokens (95 % interval ``length_low``, ``length_high``).
    ``control``: Spearman with the random-head scores, and ``control_length`` theirs with n_tokens:
    means of the ``draws``, each with the ends of its 95 % interval in ``*_low`` and ``*_high``.
    With a reference: ``reference``, ``reference_at_length`` (partial),
    ``control_reference_at_length`` and ``p_reference_at_length``: the chance that one more draw is
    as far from 0 as the reasoning heads are; over all rows also ``p_holm``, corrected for the
    number of scorers that have controls.
    """
    groups = {"all": np.arange(len(frame))}
    for name, rows in frame.groupby("source", observed=True).indices.items():
        if len(rows) >= LEAST_ROWS:
            groups[str(name)] = rows
    if len(groups) == 2:
        groups = {"all": groups["all"]}
    values = None if reference is None else reference.values
    table = pd.DataFrame(
        [
            {"scorer": scorer, "source": name}
            | _line(frame.iloc[rows], scorer, None if values is None else values[rows])
            for scorer in scorers
            for name, rows in groups.items()
        ]
    )
    if "p_reference_at_length" in table:
        whole = table["source"] == "all"
        table["p_holm"] = np.nan
        table.loc[whole, "p_holm"] = holm(table.loc[whole, "p_reference_at_length"].to_numpy())
    ends = [spearman95(line.length, line.rows) for line in table.itertuples()]
    return table.assign(length_low=[low for low, _ in ends], length_high=[high for _, high in ends])


def _line(frame: pd.DataFrame, scorer: str, reference: Floats | None) -> dict[str, Any]:
    score, tokens = _floats(frame, scorer), _floats(frame, "n_tokens")
    line = {"rows": int(np.isfinite(score).sum()), **_against(score, tokens, reference)}
    controls = [_floats(frame, name) for name in control_columns(scorer, frame.columns)]
    of_controls = [_against(control, tokens, reference) for control in controls]
    agreement = control_agreement(score, controls)
    line["control"] = agreement.mean if agreement else float("nan")
    line["draws"] = len(controls)
    line["control_low"], line["control_high"] = _ends(list(agreement.rhos) if agreement else [])
    for key in ("length", "reference_at_length"):
        if key in line:
            values = [v for other in of_controls if math.isfinite(v := other[key])]
            name = "control_" + key
            line[name] = float(np.mean(values)) if values else float("nan")
            line[name + "_low"], line[name + "_high"] = _ends(values)
            if key == "reference_at_length":
                line["p_" + key] = rank_chance(abs(line[key]), [abs(value) for value in values])
    return line


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The interval of a mean over draws; NaN where there is none."""
    return over_draws(values) or (float("nan"), float("nan"))


def _against(score: Floats, tokens: Floats, reference: Floats | None) -> dict[str, float]:
    """Spearman with length, with the reference, and the latter at fixed length."""
    line = {"length": spearman(score, tokens)}
    if reference is not None:
        use = np.isfinite(score) & np.isfinite(tokens) & np.isfinite(reference)
        x, z, y = (ranks(v[use]) for v in (score, tokens, reference))
        plain = correlation(x, y)
        line["reference"] = plain
        line["reference_at_length"] = partial(plain, correlation(x, z), correlation(y, z))
    return line


def _floats(frame: pd.DataFrame, name: str) -> Floats:
    return frame[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _random_heads(row: pd.Series) -> str:
    """What random heads say at fixed length, and whether the reasoning heads say more."""
    ends = (row["control_reference_at_length_low"], row["control_reference_at_length_high"])
    draws = draws_in_words(int(row["draws"]), ends if math.isfinite(ends[0]) else None)
    own = signed(row["control_reference_at_length"])
    p = plain(row["p_holm"])
    return f"random heads {own}, {draws}; p = {p} that one draw more is as far from 0"


def _verdict(table: pd.DataFrame, reference: Reference | None) -> str:
    ordered = table.reindex(table["length"].abs().sort_values(ascending=False).index)
    parts = [f"{name} {signed(row['length'])}" for name, row in ordered.iterrows()]
    text = (
        f"Spearman with the number of tokens over {count(int(table['rows'].max()), 'row')}: "
        f"{', '.join(parts)}."
    )
    if reference is not None and "reference_at_length" in table:
        lines = []
        for name, row in table.iterrows():
            line = f"{name} {signed(row['reference_at_length'])}"
            if math.isfinite(row["control_reference_at_length"]):
                line += f" ({_random_heads(row)})"
            lines.append(line)
        known = count(int(np.isfinite(reference.values).sum()), "row")
        text += f" With the {reference.label} at fixed length ({known}): {', '.join(lines)}."
        if (compared := int(table["p_holm"].notna().sum())) > 1:
            text += f" The p are corrected for {compared} scorers (Holm)."
    return text
