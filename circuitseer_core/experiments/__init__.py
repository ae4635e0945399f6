"""Validation experiments: does the method hold on this model and this data?

Each lives in one module with a function ``run(run, **options) -> ExperimentResult`` and a pydantic
model ``Options``. A result says its answer in words, and in an ``Outcome`` for programs (found, no
evidence, inconclusive; with the interval); its ``Plot``s say how its table is drawn. The registry
names them without importing them: those that need a model import torch only when they run.
"""

from __future__ import annotations

from circuitseer_core.errors import UserError
from circuitseer_core.experiments.experiment import Experiment, ExperimentResult
from circuitseer_core.runs.experiments import saved_results, saved_table
from circuitseer_core.runs.option_lists import parse_options

__all__ = [
    "ALL",
    "EXPERIMENTS",
    "Experiment",
    "ExperimentResult",
    "experiment_of",
    "parse_options",
    "saved_results",
    "saved_table",
]

ALL = "all"
"""In place of a name: every experiment that a run can afford (affordable.py)."""

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "length",
            "how far does length drive each scorer, by source, beside random heads and a reference",
            "circuitseer_core.experiments.length",
        ),
        Experiment(
            "complexity",
            "is a score complexity: steps, levels, beyond length, surface and random heads",
            "circuitseer_core.experiments.complexity",
        ),
        Experiment(
            "transfer",
            "do the scores of one model (or scoring) stand for those of another",
            "circuitseer_core.experiments.transfer",
            needs_other=True,
            or_scoring=True,
        ),
        Experiment(
            "probe",
            "do the heads depend on the probe: its criterion, its size, its sources",
            "circuitseer_core.experiments.probe",
        ),
        Experiment(
            "probes",
            "do several runs with different probes find the same heads (--runs A B C)",
            "circuitseer_core.experiments.probes",
            needs_other=True,
        ),
        Experiment(
            "stability",
            "would another probe choose the same heads, and what would the scores do",
            "circuitseer_core.experiments.stability",
        ),
        Experiment(
            "random-heads",
            "do randomly chosen heads of the same layers give the same scores and subset",
            "circuitseer_core.experiments.random_heads",
        ),
        Experiment(
            "masked-loss",
            "does the loss without the heads rank samples as attention does (--head-influence)",
            "circuitseer_core.experiments.masked_loss",
        ),
        Experiment(
            "temperature",
            "what does the temperature do: softness, lift, overlap with top-k, sources",
            "circuitseer_core.experiments.temperature",
            describes=True,
        ),
        Experiment(
            "heads",
            "are the reasoning heads needed, do they suffice, and for what (needs the model)",
            "circuitseer_core.experiments.heads",
            needs_model=True,
        ),
        Experiment(
            "joint-ablation",
            "what do all reasoning heads do together, against random heads (short form of heads)",
            "circuitseer_core.experiments.joint_ablation",
            needs_model=True,
        ),
        Experiment(
            "domains",
            "do math, logic, code and other text need the same heads (needs the model and data=)",
            "circuitseer_core.experiments.domains",
            needs_model=True,
        ),
        Experiment(
            "ablation-method",
            "do uniform, scaled, zero and mean ablation find the same heads (needs the model)",
            "circuitseer_core.experiments.ablation_method",
            needs_model=True,
        ),
        Experiment(
            "sinks",
            "how much of its attention does each head leave on the first token (needs the model)",
            "circuitseer_core.experiments.sinks",
            needs_model=True,
        ),
        Experiment(
            "training",
            "is training on the draw better than on what it has to beat, held out (trains a model)",
            "circuitseer_core.experiments.training",
            needs_model=True,
        ),
    )
}
"""By name, as ``validate --run RUN NAME`` takes them."""


def experiment_of(name: object) -> Experiment:
    """The experiment of this name. Raises UserError, with those there are, where it is none."""
    if not isinstance(name, str) or name not in EXPERIMENTS:
        raise UserError(f"no experiment {name!r}: choose {', '.join([ALL, *EXPERIMENTS])}")
    return EXPERIMENTS[name]
