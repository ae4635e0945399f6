"""What the reasoning heads do together: ablate them all at once, against random heads.

Stage 1 ablates one head at a time, and heads can stand in for each other. Here the whole set is
replaced by undifferentiated attention in one forward pass, and so is each random-head control (as
many heads, from the same layers; the first three on every sample, the others on some). If the set
is special, its joint loss stands far above the controls'; if the joint effect exceeds the sum of
the single ones, the heads back each other up.

By default the samples are held out: from the data of the probe, but no candidates for it. On the
probe itself, which chose the heads, the effect is too large by what the choice owes to chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.correlation import draws_in_words, over_draws, rank_chance
from circuitseer_core.data.fields import Fields
from circuitseer_core.detection.heads import select_heads
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.experiment import ExperimentOptions, ExperimentResult
from circuitseer_core.runs.folder import Run
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.wording import count, plain

if TYPE_CHECKING:
    from circuitseer_core.model.encoding import Encoded
    from circuitseer_core.model.reference import ReferenceModel

NAME = "joint-ablation"
SETS = {
    "held-out": "held-out samples of the probe's data",
    "probe": "the run's probe set, which chose the heads",
    "contrast": "the run's contrast set",
}


class Options(ExperimentOptions):
    """Options of ``validate joint-ablation``."""

    data: tuple[str, ...] = Field((), description="DATA, separated by commas; none: what set says")
    set: str = Field(
        "held-out",
        pattern="held-out|probe|contrast",
        description="without data: held-out (the probe's data without the probe), or a stored set",
    )
    limit: int = Field(100, ge=2, description="samples at most, by hash")
    further: int = Field(
        24, ge=0, description="of these, samples that also get the controls after the first three"
    )
    scores: str = Field("default", description="the scoring whose heads and controls are meant")
    device: str = Field("auto", description="where the model runs")
    seed: int = Field(0, description="seed of the choice of samples and, without scores, controls")

    @field_validator("data", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [part for part in value.split(",") if part] if isinstance(value, str) else value


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module. Without scores, heads and controls are the default share's.

    Raises:
        UserError: no detection yet, no usable sample, or the model cannot be loaded.
    """
    chosen = Options.of(**options)
    heads, controls = head_sets(run, chosen)
    from circuitseer_core.model.loading import load_run_model

    reference = load_run_model(run.model, run.model.dtype, chosen.device)
    samples = _samples(run, reference, chosen)
    losses = _losses(reference, samples, [heads, *controls], chosen.further)
    controls = controls[: len(losses) - 2]
    table = loss_table(losses, [heads, *controls])
    single = run.heads().set_index(["layer", "head"])["importance"]
    numbers = summary(losses, float(single.reindex(heads).sum()), len(heads))
    numbers["data"] = list(chosen.data) or SETS[chosen.set]
    title = "What do the reasoning heads do together?"
    return ExperimentResult(NAME, title, _verdict(numbers), numbers, table)


def head_sets(run: Run, options: Options) -> tuple[list[Head], list[list[Head]]]:
    """The reasoning heads and their controls: those of the scoring, else freshly chosen."""
    facts = Evidence(run, options.scores if run.scorings() else None)
    heads = facts.chosen or select_heads(run.heads())
    from circuitseer_core.scoring.control_heads import control_heads

    stored = facts.settings.control_heads
    seed = facts.settings.seed if stored else options.seed
    drawn = control_heads(heads, run.model.heads_per_layer, seed)
    # A scoring with fewer draws has the first of these.
    return heads, drawn if drawn[: len(stored)] == stored else stored


def _losses(
    reference: ReferenceModel, samples: Sequence[Encoded], sets: Sequence[Sequence[Head]], some: int
) -> Floats:
    """(1 + sets, n) losses; NaN where a control after the first ones was left out."""
    from circuitseer_core.detection.joint import joint_loss
    from circuitseer_core.runs.progress import Progress
    from circuitseer_core.scoring.control_heads import FIRST_DRAWS

    first, further = sets[: 1 + FIRST_DRAWS], sets[1 + FIRST_DRAWS :]
    few = samples[:some] if further else []
    with Progress(None, "joint ablation", len(samples) + len(few), unit="samples") as progress:
        losses = joint_loss(reference, samples, first, on_samples=progress.advance)
        if not few:
            return losses
        others = joint_loss(reference, few, further, on_samples=progress.advance)
    unknown = np.full((len(further), len(samples) - len(few)), np.nan)
    return np.concatenate([losses, np.concatenate([others[1:], unknown], axis=1)])


def _samples(run: Run, reference: ReferenceModel, options: Options) -> list[Encoded]:
    """Encoded samples: held out, of a stored set in hash order, or of other data."""
    from circuitseer_core.detection.probe import samples_of
    from circuitseer_core.hashing import hash64

    if options.data:
        return _drawn(run, reference, options, list(options.data), set())
    if options.set == "held-out":
        return _held_out(run, reference, options)
    stored = samples_of(run.probe(), options.set)
    if not stored:
        raise UserError(f"this run has no {options.set} set")
    keys = hash64(options.seed, "joint", [sample.id for sample in stored])
    return [stored[i] for i in np.argsort(keys, kind="stable")[: options.limit]]


def _held_out(run: Run, reference: ReferenceModel, options: Options) -> list[Encoded]:
    """Samples of the probe's data that were no candidates; where there are none, only no probe.

    Candidates that were not chosen are easier than others where the probe was chosen by loss.
    """
    data = list(run.detection.settings.probe) if run.detection.settings else []
    if not data:
        raise UserError("this run does not say what its probe came from: give data=…")
    for seen in (run.pool(), run.probe()):
        samples = _drawn(run, reference, options, data, set(seen["id"]))
        if len(samples) >= 2:
            return samples
    raise UserError("the probe's data has nothing beside the probe: give data=… or set=probe")


def _drawn(
    run: Run, reference: ReferenceModel, options: Options, data: list[str], without: set[str]
) -> list[Encoded]:
    """At most ``limit`` samples of ``data`` in hash order whose ids are not in ``without``."""
    from circuitseer_core.data.corpus import Corpus
    from circuitseer_core.detection.probe import encode_candidates
    from circuitseer_core.model.encoding import default_max_length

    detection = run.detection
    pool = encode_candidates(
        reference,
        Corpus(data, None if options.data else _probe_fields(run)),
        size=options.limit + len(without),
        seed=options.seed,
        template=detection.template or "plain",
        loss_tokens=detection.settings.loss_tokens if detection.settings else "response",
        max_length=default_max_length(reference.max_positions, None),
    )
    return [sample for sample in pool.samples if sample.id not in without][: options.limit]


def _probe_fields(run: Run) -> Fields:
    """The field names that the run's probe was read with."""
    known = run.detection.probe_data
    return Fields(**{k: v for k, v in (known.fields if known else {}).items() if v})


def loss_table(losses: Floats, sets: Sequence[Sequence[Head]]) -> pd.DataFrame:
    """ablated, heads, samples, loss, delta, stderr (nats): a row for clean and each set.

    Args:
        losses: (1 + sets, n) mean losses of n samples; row 0 is clean, NaN is not measured.
    """
    names = ["nothing", "reasoning heads", *(f"control {i}" for i in range(len(sets) - 1))]
    delta = losses - losses[0]
    n = np.isfinite(losses).sum(axis=1)
    error = np.array([_stderr(values) for values in delta])
    return pd.DataFrame(
        {
            "ablated": names,
            "heads": [0, *(len(heads) for heads in sets)],
            "samples": n,
            "loss": np.nanmean(losses, axis=1),
            "delta": np.nanmean(delta, axis=1),
            "stderr": error,
        }
    )


def summary(losses: Floats, sum_of_singles: float, heads: int) -> dict[str, Any]:
    """The verdict's numbers from losses (1 + sets, n): clean, reasoning heads, controls.

    The gap is that to the controls with every sample; ``p_other_than_random`` is the chance that
    one more random set does as much, on the samples that have every control.
    """
    delta = losses[1:] - losses[0]
    ours, controls = delta[0], delta[1:]
    gap = ours - controls[np.isfinite(controls).all(axis=1)].mean(axis=0)
    full = np.isfinite(delta).all(axis=0)
    return {
        "heads": heads,
        "samples": losses.shape[1],
        "clean": float(losses[0].mean()),
        "joint": float(ours.mean()),
        "controls": (means := np.nanmean(controls, axis=1)).tolist(),
        "controls_interval": over_draws(means, (-np.inf, np.inf)),
        "p_samples": int(full.sum()),
        "p_other_than_random": rank_chance(
            float(ours[full].mean()), controls[:, full].mean(axis=1).tolist()
        ),
        "gap": float(gap.mean()),
        "gap_stderr": _stderr(gap) if len(gap) > 1 else None,
        "above_every_control": float((ours > np.nanmax(controls, axis=0)).mean()),
        "sum_of_singles": sum_of_singles,
    }


def _stderr(values: Floats) -> float:
    """Standard error of a mean over the known values; NaN of fewer than two."""
    known = values[np.isfinite(values)]
    return float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else float("nan")


def _data(data: str | list[str]) -> str:
    return data if isinstance(data, str) else ", ".join(data)


def _verdict(numbers: dict[str, Any]) -> str:
    controls = numbers["controls"]
    draws = draws_in_words(len(controls), numbers["controls_interval"])
    text = (
        f"Ablating the {count(numbers['heads'], 'reasoning head')} at once raises the loss by "
        f"{plain(numbers['joint'])} nats (clean {plain(numbers['clean'])}) over "
        f"{count(numbers['samples'], 'sample')} ({_data(numbers['data'])}); as many random heads "
        f"of the same layers by {plain(float(np.mean(controls)))} ({draws}; at most "
        f"{plain(max(controls))}). That one more random set does as much has p = "
        f"{plain(numbers['p_other_than_random'])} ({count(numbers['p_samples'], 'sample')}). "
        f"The gap is {plain(numbers['gap'])}"
    )
    if numbers["gap_stderr"] is not None:
        text += f" ± {plain(numbers['gap_stderr'])}"
    text += (
        f" nats. Singly, on the probe, the reasoning heads add up to "
        f"{plain(numbers['sum_of_singles'])} nats."
    )
    return text
