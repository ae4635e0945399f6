"""Does training on the drawn subset help? Every arm trained alike, judged on held-out samples.

The arms are those that the command ``arms`` wrote. Each comparison is a paired difference over
training seeds and held-out items (training/effects.py); of several arms compared with one reference
the p-values are corrected by Holm's method, and the verdict speaks of the corrected ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from circuitseer_core.aliases import Floats
from circuitseer_core.arms.record import ArmsOptions
from circuitseer_core.distributions import holm
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.comparisons import FALSE_FINDING, HOLM, found_only_if
from circuitseer_core.experiments.cost import LOADING, forward_seconds, mean_tokens
from circuitseer_core.experiments.experiment import FOLDER, ExperimentOptions, ExperimentResult
from circuitseer_core.runs.experiment_records import Outcome, Plot, kind_of_draw
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import Progress
from circuitseer_core.training.effects import difference, seeds_to_see
from circuitseer_core.training.plan import STUDY_FILE, StudyPlan, StudyRecord
from circuitseer_core.training.settings import UNTRAINED, StudySettings
from circuitseer_core.wording import count, duration, p_value, plain, signed

NAME = "training"
TRAINING_COST, JUDGING_COST = 12.0, 1.5
"""Scored tokens' time that a trained and a judged token take (SmolLM2 by LoRA on two cores)."""
RELEVANT = 0.01
"""Nats of held-out loss below which a difference is taken as too small to matter."""


class Options(ExperimentOptions, StudySettings):
    """Options of ``validate training``: those of the study, and what this one is called."""

    name: str = Field(
        NAME,
        pattern=r"^training[A-Za-z0-9_-]*$",
        description="name of the result, for several studies of one run (begins with training)",
    )
    only_results: bool = Field(
        False, description="judge what is finished, without training any further model"
    )

    @field_validator("reference")
    @classmethod
    def _is_an_arm(cls, value: str) -> str:
        if value == "full":
            raise ValueError("the full pool cannot be what others of one budget are compared with")
        return value

    def study(self) -> StudySettings:
        """Those of the study."""
        return StudySettings(**self.model_dump(exclude={"name", "only_results"}))


def _refuse_incomplete(run: Run, options: Options) -> None:
    if not options.arms or not options.heldout:
        raise UserError(
            f"training needs arms=FOLDER (run arms --run {run.path} --out FOLDER) and heldout=DATA"
        )


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module.

    Raises:
        UserError: no arms, no held-out samples, or no model was trained yet on the reference arm.
    """
    chosen = Options.of(**options)
    _refuse_incomplete(run, chosen)
    settings = chosen.study()
    study = StudyPlan(run.path / FOLDER / chosen.name, settings, run.model)
    if chosen.only_results:
        record = StudyRecord.read(study.folder / STUDY_FILE)
    else:
        from circuitseer_core.training.study import Study

        study = Study(study.folder, settings, run.model)
        with Progress(run, "training", 0, unit="steps", phase="Loading the model") as progress:
            record = study.run(progress)
    tables = study.results()
    if chosen.reference not in tables:
        raise UserError(f"no model was trained on {chosen.reference!r} yet")
    table = effects_table(tables, chosen.reference)
    numbers = {
        "model": study.model,
        "reference": chosen.reference,
        "steps": record.steps,
        "tokens_a_step": settings.tokens_a_step,
        "learning_rate": record.learning_rate,
        "development_loss": record.development_loss,
        "seeds": {kind: len(of_kind) for kind, of_kind in tables.items()},
        "seconds": round(sum(record.seconds.values()), 1),
        "arms": [arm.to_json() for arm in study.arms.arms],
        "draw": _draw(study.arms.settings),
    }
    outcome, verdict = _verdict(table, numbers, chosen)
    title = "Does training on the drawn subset help?"
    return ExperimentResult(chosen.name, title, verdict, numbers, table, outcome, _PLOTS)


def _draw(arms: ArmsOptions) -> dict[str, Any] | None:
    """Of which kind of draw the soft arm is; None where the arms do not say."""
    if "scorer" not in arms.model_fields_set:
        return None
    return kind_of_draw(arms.scores, arms.scorer, arms.temperature)


def estimated_seconds(run: Run, **options: Any) -> float | None:
    """About what the models that are still missing take; None for another model than the run's.

    From the models of this study that are finished, else from the run's scoring speed.

    Raises:
        UserError: no arms or held-out data are named, or the arms do not fit the options.
    """
    chosen = Options.of(**options)
    _refuse_incomplete(run, chosen)
    study = StudyPlan(run.path / FOLDER / chosen.name, chosen.study(), run.model)
    done = study.seconds_a_model()
    models = study.models_left()
    if chosen.only_results or not models:
        return LOADING
    if done is not None:
        return LOADING + models * done
    if study.model != run.model.id:
        return None
    judged = chosen.per_source * len(chosen.heldout)
    answers = chosen.answers * len(chosen.heldout) * chosen.max_new_tokens
    passes = (
        TRAINING_COST * study.steps * chosen.tokens_a_step
        + JUDGING_COST * judged * 2 * mean_tokens(run)
        + JUDGING_COST * answers
    )
    return forward_seconds(run, models * passes)


_PLOTS = (
    Plot(
        kind="intervals",
        caption="Held-out response loss against the reference arm, by kind of arm: "
        "left of zero is better",
        label="arm", x="difference", low="low", high="high",
        where={"measure": "loss", "source": "all"},
        x_title="difference of held-out loss (nats)", references={"no difference": 0.0},
    ),
    Plot(
        kind="intervals",
        caption="The same by source of the held-out samples",
        label="arm", x="difference", low="low", high="high", group="source",
        where={"measure": "loss", "whole": False},
        x_title="difference of held-out loss (nats)", references={"no difference": 0.0},
    ),
)  # fmt: skip


def effects_table(tables: dict[str, list[pd.DataFrame]], reference: str) -> pd.DataFrame:
    """A row per arm, measure and source: mean, and the difference from the reference arm.

    Args:
        tables: held-out tables by kind, one a training seed, all over the same items.
        reference: the kind that the others are compared with; ``untrained`` is compared too.

    Columns: arm, measure (loss in nats, or accuracy), source (``all`` weighs items alike), whole,
    seeds, items, mean, difference, low, high, p, p_holm (over the trained arms of one measure on
    all items), seed_sd, seeds_needed (to see a difference of 0.01 nats).
    """
    rows = []
    base = tables[reference]
    sources = ["all", *sorted(base[0]["source"].unique())]
    for kind, own in tables.items():
        for measure, column in (("loss", "loss"), ("accuracy", "correct")):
            for source in sources:
                values = _values(own, column, source)
                if not values.size:
                    continue
                row = {
                    "arm": kind, "measure": measure, "source": source, "whole": source == "all",
                    "seeds": len(values), "items": values.shape[1], "mean": float(values.mean()),
                }  # fmt: skip
                if kind != reference:
                    other = _values(base, column, source)
                    row |= _difference_row(values, other, kind)
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


def _difference_row(values: Floats, other: Floats, kind: str) -> dict[str, Any]:
    """The paired difference as columns of a row; seeds that both have are paired."""
    seeds = min(len(values), len(other))
    if kind == UNTRAINED:  # one model against every seed of the other
        values, seeds = np.repeat(values, len(other), axis=0), len(other)
    if values.shape[1] < 2:
        return {}
    gap = difference(values[:seeds] - other[:seeds])
    return {
        "difference": gap.mean, "low": gap.low, "high": gap.high, "p": gap.p,
        "seed_sd": gap.seed_sd, "seeds_needed": seeds_to_see(gap, RELEVANT),
    }  # fmt: skip


def _verdict(
    table: pd.DataFrame, numbers: dict[str, Any], options: Options
) -> tuple[Outcome | None, str]:
    """The outcome of the soft draw against the reference, and the sentences."""
    loss = table[(table["measure"] == "loss") & table["whole"]].set_index("arm")
    reference = options.reference
    seeds = int(loss.loc[reference, "seeds"])
    items = int(loss.loc[reference, "items"])
    after = plain(float(loss.loc[reference, "mean"]), 4)
    first = (
        f"{numbers['model']} trained for {count(numbers['steps'], 'step')} on each arm, "
        f"{count(seeds, 'seed')}, judged on {count(items, 'held-out sample')}: "
        f"{after} nats of response loss after {reference}."
    )
    sentences = [first]
    if UNTRAINED in loss.index:
        sentences.append(f"Before training: {plain(float(loss.loc[UNTRAINED, 'mean']), 4)}.")
    if seeds == 1:
        sentences.append(
            "One seed: intervals and p are of these two models on new samples, and leave out what "
            "another seed would change, so nothing is told of the arms."
        )
    others = loss.drop(index=[reference, UNTRAINED], errors="ignore").dropna(subset=["difference"])
    for kind, row in others.sort_values("difference").iterrows():
        sentences.append(
            f"{kind}: {signed(row['difference'], 4)} ({signed(row['low'], 4)} to "
            f"{signed(row['high'], 4)}; Holm {p_value(row['p_holm'])})."
        )
    clear = others[others["p_holm"] < FALSE_FINDING]
    if clear.empty and seeds > 1:
        sentences.append(f"No arm differs clearly from {reference} (Holm over {len(others)}).")
    if len(others) and seeds > 1:
        sentences.append(_seeds_needed(others["seeds_needed"], items))
    if numbers["seconds"]:
        sentences.append(f"The models took {duration(numbers['seconds'])} in all.")
    return _outcome(others, reference, seeds), " ".join(sentences)


def _seeds_needed(needed: pd.Series, items: int) -> str:
    """How many seeds would show the difference that matters, for the arm that needs most."""
    if needed.isna().any():
        return (
            f"For some arms no number of seeds would show a difference of {RELEVANT} nats on "
            f"{count(items, 'held-out sample')}."
        )
    return (
        f"A difference of {RELEVANT} nats would be seen with {int(needed.max())} seeds "
        "(80 % power, the same held-out samples)."
    )


def _outcome(others: pd.DataFrame, reference: str, seeds: int) -> Outcome | None:
    """Whether the soft draw trains better than the reference, corrected for the arms compared."""
    if "soft" not in others.index:
        return None
    soft = others.loc["soft"]
    outcome = Outcome.judge(
        f"held-out response loss after {reference} less that after the soft draw, in nats,",
        -float(soft["difference"]), -float(soft["high"]), -float(soft["low"]),
        relevant=RELEVANT, comparisons=len(others), correction=HOLM if len(others) > 1 else None,
    )  # fmt: skip
    outcome = found_only_if(outcome, bool(soft["p_holm"] < FALSE_FINDING))
    if seeds == 1:
        outcome.state = "inconclusive"
    return outcome
