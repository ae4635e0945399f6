"""Validation experiments: does the method hold on this model and this data?

Each lives in one module with a function ``run(run, **options) -> ExperimentResult`` and a pydantic
model ``Options``. A result says its answer in words, and in an ``Outcome`` for programs (found, no
evidence, inconclusive; with the interval); its ``Plot``s say how its table is drawn. The registry
names them without importing them: those that need a model import torch only when they run.
"""

from __future__ import annotations

from circuitseer_core.experiments.experiment import (
    Experiment,
    ExperimentResult,
    parse_options,
    saved_results,
    saved_table,
)

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "ExperimentResult",
    "parse_options",
    "saved_results",
    "saved_table",
]

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "length",
            "how far length drives each scorer, by source, beside random heads and a reference",
            "circuitseer_core.experiments.length",
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
            "temperature",
            "what the temperature does: softness, lift, overlap with top-k, sources",
            "circuitseer_core.experiments.temperature",
        ),
        Experiment(
            "joint-ablation",
            "loss with all reasoning heads ablated at once, against random heads (needs the model)",
            "circuitseer_core.experiments.joint_ablation",
            needs_model=True,
        ),
        Experiment(
            "sinks",
            "how much of its attention each head leaves on the first token (needs the model)",
            "circuitseer_core.experiments.sinks",
            needs_model=True,
        ),
        Experiment(
            "training",
            "fine-tune on every comparison arm and judge on held-out samples (trains a model)",
            "circuitseer_core.experiments.training",
            needs_model=True,
        ),
    )
}
"""By name, as ``validate --run RUN NAME`` takes them."""
