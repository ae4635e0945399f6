"""Does training on the drawn subset help? Every arm trained alike, judged on held-out samples.

The arms are those that the command ``arms`` wrote. Each comparison is a paired difference over
training seeds and held-out items (training/effects.py); of several arms compared with one reference
the p-values are corrected by Holm's method, and the verdict speaks of the corrected ones.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.arms.record import ArmsOptions
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.cost import LOADING, forward_seconds, mean_tokens
from circuitseer_core.experiments.experiment import ExperimentOptions, ExperimentResult
from circuitseer_core.experiments.held_out import probe_prompts
from circuitseer_core.experiments.training_table import by_seed, effects_table
from circuitseer_core.experiments.training_words import outcome, plots, verdict
from circuitseer_core.runs.experiments import experiments_folder
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import Progress
from circuitseer_core.runs.reading import probe_fields
from circuitseer_core.runs.records import read_or_none
from circuitseer_core.runs.training_records import SOFT, holds_arms, kind_of_draw, run_name
from circuitseer_core.training.plan import STUDY_FILE, StudyPlan, StudyRecord
from circuitseer_core.training.settings import StudySettings

NAME = "training"
NAMES = r"^training[A-Za-z0-9_-]*$"
TRAINING_COST, JUDGING_COST = 12.0, 1.5
"""Scored tokens' time that a trained and a judged token take (SmolLM2 by LoRA on two cores)."""


class Options(ExperimentOptions, StudySettings):
    """Options of ``validate training``: those of the study, and what this one is called."""

    name: str = Field(
        NAME,
        pattern=NAMES,
        description="name of the result, for several studies of one run (begins with training)",
    )
    study: str | None = Field(
        None,
        pattern=NAMES,
        description="the study whose models are meant, where the result has another name",
    )
    only_results: bool = Field(
        False,
        description="judge what is finished, without training any further model; reference may be "
        "another than the study was made with",
    )
    see: float = Field(
        limits.TRAINED,
        gt=0,
        description="the difference that would matter, in nats: how many seeds would show it, and "
        "whether silence counts as no evidence",
    )

    def settings(self, kept: StudyRecord | None = None) -> StudySettings:
        """Those of the study; what was not given and has a default of its version is as kept."""
        own = {name: getattr(self, name) for name in StudySettings.model_fields}
        if kept is not None:
            unset = {"answers", "learning_rates"} - self.model_fields_set
            own |= {name: getattr(kept.settings, name) for name in unset}
        return StudySettings(**own)

    def plan(self, run: Run) -> StudyPlan:
        """The models of the study that is meant."""
        folder = experiments_folder(run) / (self.study or self.name)
        kept = read_or_none(StudyRecord, folder / STUDY_FILE)
        return StudyPlan(folder, self.settings(kept), run.model)


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
    study = chosen.plan(run)
    if chosen.only_results:
        if not (study.folder / STUDY_FILE).is_file():
            raise UserError(f"{study.folder} holds no study yet: its name goes into study=NAME")
        record = StudyRecord.read(study.folder / STUDY_FILE)
        study.require_same(record, but=["reference"])
    else:
        from circuitseer_core.training.study import Study

        study = Study(study.folder, study.settings, run.model)
        with Progress(run, "training", 0, unit="steps", phase="Loading the model") as progress:
            record = study.run(progress, probe_prompts(run), probe_fields(run))
    tables = study.results()
    if chosen.reference not in tables:
        raise UserError(f"no model was trained on {chosen.reference!r} yet")
    table = effects_table(tables, chosen.reference, chosen.see)
    seeds: dict[str, list[int]] = {}
    for trial in study.finished():
        seeds.setdefault(trial.kind, []).append(trial.seed)
    numbers = numbers_of(run, study, record, chosen)
    numbers["seeds"] = {kind: len(of_kind) for kind, of_kind in tables.items()}
    numbers["by_seed"] = by_seed(tables, chosen.reference, seeds)
    title = "Does training on the drawn subset help?"
    return ExperimentResult(
        chosen.name, title, verdict(table, numbers), numbers, table, outcome(table, numbers),
        plots(table),
    )  # fmt: skip


def numbers_of(run: Run, study: StudyPlan, record: StudyRecord, options: Options) -> dict[str, Any]:
    """What the verdict rests on beside the table; costs and tokens of the models judged alone."""
    done = study.finished()
    arms = [arm.to_json() for arm in study.arms.arms]
    seen = []
    for trial in done:
        arm = study.arm(trial.kind, trial.seed)
        rows = record.rows.get(arm.label)
        seen.append(
            {
                "arm": trial.kind,
                "seed": trial.seed,
                "tokens": record.tokens.get(trial.label, 0),
                "arm_tokens": rows.tokens if rows is not None else arm.tokens,
                "rows": record.rows_seen.get(trial.label),
                "arm_rows": rows.used if rows is not None else arm.rows,
            }
        )
    of_arms = {study.arm(trial.kind, trial.seed).label for trial in done}
    own = holds_arms(run, (arm for arm in arms if arm["kind"] == SOFT))
    return {
        "model": study.model,
        "reference": options.reference,
        "rate_chosen_on": record.settings.reference,
        "see": options.see,
        "steps": record.steps,
        "full_steps": record.full_steps,
        "tokens_a_step": record.settings.tokens_a_step,
        "max_length": record.settings.max_length,
        "learning_rate": record.learning_rate,
        "development_loss": record.development_loss,
        "weights_dtype": record.weights_dtype,
        "seconds": round(sum(record.seconds.get(trial.label, 0.0) for trial in done), 1),
        "seen": seen,
        "rows": {k: rows.to_json() for k, rows in record.rows.items() if k in of_arms},
        "skipped": {k: why for k, why in record.skipped.items() if k in study.kinds},
        "heldout_left_out": record.heldout_left_out,
        "arms": arms,
        "draw": _draw(study.arms.settings),
        "run": run_name(run) if own else None,
    }


def _draw(arms: ArmsOptions) -> dict[str, Any] | None:
    """Of which kind of draw the soft arm is; None where the arms do not say."""
    if "scorer" not in arms.model_fields_set:
        return None
    return kind_of_draw(arms.scores, arms.scorer, arms.temperature, arms.length_control)


def estimated_seconds(run: Run, **options: Any) -> float | None:
    """About what the models that are still missing take; None for another model than the run's.

    From the models of this study that are finished, else from the run's scoring speed.

    Raises:
        UserError: no arms or held-out data are named, or the arms do not fit the options.
    """
    chosen = Options.of(**options)
    _refuse_incomplete(run, chosen)
    study = chosen.plan(run)
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
