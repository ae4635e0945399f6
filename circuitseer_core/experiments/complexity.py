"""Does a score say how complex a sample is, and does it say more than cheaper numbers do?

For every scorer of a scoring and every reference of complexity there is (worked steps, operations,
response tokens, levels, pass rates; complexity_references.py):

1. Spearman, with Fisher's interval.
2. The partial rank correlation at fixed length and source: what is left once the number of scored
   tokens, and each source's own mean, are taken out.
3. The same with the surface of the scored text fixed too (digits, operators, LaTeX, lines, layout).
4. The gap between 2. and the mean of the same from random heads of the same layers. Its interval
   resamples rows and draws of heads.

And what the scorer is made of: the share of its rank variance that length, surface, random heads
and baselines explain, cross-validated (composition.py). The verdict answers three questions about
one scorer and one reference (more than length, than surface, than random heads), corrected for
being three; the table's intervals are corrected for the number of its scorers and references.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from circuitseer_core.aliases import Floats
from circuitseer_core.errors import UserError
from circuitseer_core.experiments import complexity_words
from circuitseer_core.experiments.complexity_references import RESPONSE, STEPS, Rows, references
from circuitseer_core.experiments.complexity_table import (
    LEAST_ROWS,
    Measured,
    association,
    composition,
)
from circuitseer_core.experiments.experiment import ExperimentOptions, ExperimentResult
from circuitseer_core.experiments.intervals import BONFERRONI
from circuitseer_core.experiments.surface import surface_features
from circuitseer_core.hashing import hash64
from circuitseer_core.runs.columns import control_columns
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.option_lists import parted
from circuitseer_core.runs.progress import Progress

NAME = "complexity"


class Options(ExperimentOptions):
    """Options of ``validate complexity``."""

    scores: str = Field("default", description="which scoring")
    scorer: str = Field("variance", description="the scorer that the verdict is about")
    reference: str | None = Field(
        None, description="the reference that the verdict is about; none: worked steps, else others"
    )
    columns: tuple[str, ...] = Field(
        (), description="columns with levels or rates, separated by commas; none: by their names"
    )
    rows: int = Field(5000, ge=LEAST_ROWS, description="rows at most, by hash")
    bootstraps: int = Field(500, ge=50, description="resamples of the rows")
    seed: int = Field(0, description="seed of the choice of rows and of the resamples")

    @field_validator("columns", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return parted(value)


def estimated_seconds(run: Run, **options: Any) -> float:
    """About what it takes: ranks and correlations of every resample."""
    chosen = Options.of(**options)
    scoring = run.scoring(chosen.scores)
    columns = len(scoring.scorers) * (1 + len(scoring.control_heads)) + 20
    return 5 + 2e-8 * chosen.bootstraps * min(scoring.rows, chosen.rows) * columns**1.5


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module.

    Raises:
        UserError: no scores, no such scorer or reference, or nothing to hold the scores against.
    """
    chosen = Options.of(**options)
    rows, scorers = sampled(run, chosen)
    if chosen.scorer not in scorers:
        raise UserError(f"no scorer {chosen.scorer!r} here; there are: {', '.join(scorers)}")
    targets = references(rows, chosen.columns)
    main = _main(targets, chosen.reference)
    surface = _surface(run, rows, chosen)
    if chosen.scorer not in _others([chosen.scorer], main):
        raise UserError(f"{chosen.scorer!r} cannot be its own reference: name another --set scorer")
    with Progress(run, NAME, len(targets) + 1, unit="questions", phase="Comparing") as progress:
        measured = []
        for target in targets.items():
            progress.say(target[0])
            one = association(rows.scores, _others(scorers, target[0]), target, surface, chosen)
            measured += [] if one is None else [one]
            progress.advance(1)
        progress.say("what the scores are made of")
        made_of = composition(rows.scores, scorers, surface, chosen)
        progress.advance(1)
    if main not in {one.target for one in measured}:
        raise UserError(f"fewer than {LEAST_ROWS} rows have the reference {main!r} and a score")
    comparisons = sum(len(one.scorers) for one in measured)
    table = pd.concat([*(one.table(comparisons) for one in measured), made_of], ignore_index=True)
    about = next(one for one in measured if one.target == main)
    numbers = _numbers(about, made_of, chosen) | {
        "table_comparisons": comparisons,
        "references": [one.target for one in measured],
        "surface": list(surface),
    }
    return ExperimentResult(
        NAME,
        "Does the score say how complex a sample is, beyond its length, its look and any heads?",
        complexity_words.verdict(numbers),
        numbers,
        table,
        complexity_words.outcome(numbers),
        complexity_words.plots(numbers),
    )


def _others(scorers: Sequence[str], reference: str) -> list[str]:
    """The scorers less the one that a reference is made of: with itself it always agrees."""
    return [name for name in scorers if reference not in (f"column {name}", f"1 - {name}")]


def sampled(run: Run, options: Options) -> tuple[Rows, list[str]]:
    """At most ``rows`` scored rows of smallest hash (of those with controls, where some have them),
    and the scorers that have values on them."""
    from circuitseer_core.runs.texts import chosen_texts

    frame = run.scores(options.scores)
    controls = control_columns(options.scorer, frame.columns)
    if controls:
        frame = frame[frame[controls].notna().all(axis=1)]
    ids = frame["id"].astype(str).tolist()
    order = np.argsort(hash64(options.seed, "complexity", ids), kind="stable")[: options.rows]
    frame = frame.iloc[np.sort(order)].reset_index(drop=True)
    scorers = [
        name
        for name in run.scoring(options.scores).scorers
        if name in frame and frame[name].nunique() > 1
    ]
    try:
        texts = chosen_texts(run, options.scores, frame["id"].astype(str).tolist()).to_pandas()
        texts = texts.astype(object).where(texts.notna(), None)
    except (UserError, KeyError):  # numbers alone: lengths are still to be had
        texts = None
    return Rows(frame, texts), scorers


def _surface(run: Run, rows: Rows, options: Options) -> dict[str, Floats]:
    """Surface features of the scored texts; none where they are not at hand."""
    from circuitseer_core.data.sample import scored_text

    if rows.texts is None:
        return {}
    part = run.scoring(options.scores).text
    pairs = zip(rows.texts["prompt"], rows.texts["response"], strict=True)
    return surface_features([scored_text(part, *pair) or "" for pair in pairs])


def _main(targets: dict[str, Floats], asked: str | None) -> str:
    """The reference in question: the one asked for, worked steps, a column, anything else."""
    if not targets:
        raise UserError("these rows have nothing to hold the scores against: no responses, levels")
    if asked is not None:
        for name in (asked, f"column {asked}", f"1 - {asked}"):
            if name in targets:
                return name
        raise UserError(f"no reference {asked!r} here; there are: {', '.join(targets)}")
    columns = [name for name in targets if name.startswith(("column ", "1 - "))]
    return next(name for name in (STEPS, *columns, RESPONSE, *targets) if name in targets)


def _numbers(about: Measured, made_of: pd.DataFrame, options: Options) -> dict[str, Any]:
    """What the verdict rests on."""
    own = made_of[made_of["scorer"] == options.scorer]
    return {
        "scorer": options.scorer,
        "reference": about.target,
        "rows": about.rows,
        "correction": BONFERRONI,
        **about.answers(options.scorer),
        "made_of": {
            str(line.target): [line.estimate, line.low, line.high] for line in own.itertuples()
        },
    }
