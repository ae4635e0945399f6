"""What the reasoning heads do together: ablate them all at once, against random heads.

Stage 1 ablates one head at a time, and heads can stand in for each other. Here the whole set is
replaced by undifferentiated attention in one forward pass, and so is each random-head control (as
many heads, from the same layers; the first three on every sample, the others on some). If the set
is special, its joint loss stands far above the controls'; if the joint effect exceeds the sum of
the single ones, the heads back each other up.

By default the samples are held out (held_out.py). On the probe itself, which chose the heads, the
effect is too large by what the choice owes to chance. ``validate heads`` asks the same with more
random sets, at several sizes, the other way round, and of answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.aliases import Floats, Head
from circuitseer_core.correlation import draws_in_words, over_draws, rank_chance
from circuitseer_core.data.fields import Fields
from circuitseer_core.detection.heads import select_heads
from circuitseer_core.distributions import t95
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.comparisons import found_only_if
from circuitseer_core.experiments.cost import forward_seconds
from circuitseer_core.experiments.experiment import (
    DataOptions,
    ExperimentResult,
    ModelDevice,
)
from circuitseer_core.experiments.head_sets import BEST, CLEAN, SAME, HeadSet, SetMeasurements
from circuitseer_core.experiments.held_out import (
    Words,
    beside_probe,
    held_out,
    left_out_words,
    probe_data,
    run_model,
)
from circuitseer_core.experiments.set_effects import decided, loss_against
from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.control_heads import FIRST_DRAWS, beside_in_words, control_heads
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.wording import count, plain, signed

if TYPE_CHECKING:
    from circuitseer_core.model.encoding import Encoded
    from circuitseer_core.model.reference import ReferenceModel

NAME = "joint-ablation"
SETS = {
    "held-out": "held-out samples of the probe's data",
    "probe": "the run's probe set, which chose the heads",
    "contrast": "the run's contrast set",
}


class Options(DataOptions):
    """Options of ``validate joint-ablation``."""

    data: Words = Field((), description="DATA, separated by commas; none: what set says")
    set: str = Field(
        "held-out",
        pattern="held-out|probe|contrast",
        description="without data: held-out (the probe's data without the probe), or a stored set",
    )
    limit: int = Field(100, ge=2, description="samples at most, by hash")
    max_tokens: int | None = Field(
        None, ge=2, description="longer samples are left out, before limit"
    )
    further: int = Field(
        24, ge=0, description="of these, samples that also get the controls after the first three"
    )
    scores: str = Field("default", description="the scoring whose heads and controls are meant")
    device: ModelDevice = "auto"
    seed: int = Field(0, description="seed of the choice of samples and, without scores, controls")


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module. Goes on where an earlier try stopped. Without scores, heads and
    controls are the default share's.

    Raises:
        UserError: no detection yet, no usable sample, or the model cannot be loaded.
    """
    chosen = Options.of(**options)
    heads, controls = head_sets(run, chosen)
    reference = run_model(
        run, "run", chosen.device, data=chosen.data, asked=Fields.of(chosen),
        own=() if chosen.data or chosen.set != "held-out" else probe_data(run),
        max_tokens=chosen.max_tokens,
    )  # fmt: skip
    samples, left_out = _samples(run, reference, chosen)
    losses = _losses(run, reference, samples, [heads, *controls], chosen.further)
    controls = controls[: len(losses) - 2]
    table = loss_table(losses, [heads, *controls])
    single = run.heads().set_index(["layer", "head"])["importance"]
    numbers = summary(losses, float(single.reindex(heads).sum()), len(heads))
    numbers |= {"controls_are": beside_in_words(heads, controls)}
    numbers |= {"data": list(chosen.data) or SETS[chosen.set], "left_out": left_out}
    title = "What do the reasoning heads do together?"
    return ExperimentResult(
        NAME, title, _verdict(numbers), numbers, table, _outcome(numbers), _PLOTS
    )


_PLOTS = (
    Plot(
        kind="intervals", label="ablated", x="delta", low="low", high="high",
        x_title="rise of the loss (nats)", references={"no rise": 0.0},
        caption="Rise of the loss when all heads of a set are ablated at once, with 95 % intervals "
        "over the samples.",
    ),
)  # fmt: skip


def _outcome(numbers: dict[str, Any]) -> Outcome | None:
    """Whether the reasoning heads' joint rise stands above what one more random set might do."""
    compared = numbers["against"]
    if compared is None:
        return None
    outcome = Outcome.judge(
        "rise of the loss above what one more random set might do (nats),",
        compared["gap"], compared["low"], compared["high"], relevant=limits.RISE,
    )  # fmt: skip
    return found_only_if(outcome, compared["found"])


def estimated_seconds(run: Run, **options: Any) -> float:
    """About what it takes: a forward pass a sample, clean and for each set of heads."""
    chosen = Options.of(**options)
    _, controls = head_sets(run, chosen)
    tokens = float(run.probe()["n_tokens"].mean())
    first = min(FIRST_DRAWS, len(controls))
    further = min(chosen.further, chosen.limit) * (1 + len(controls) - first)
    return forward_seconds(run, (chosen.limit * (2 + first) + further) * tokens * 1.5)


def head_sets(run: Run, options: Options) -> tuple[list[Head], list[list[Head]]]:
    """The reasoning heads and their controls: those of the scoring, else freshly chosen."""
    facts = Evidence(run, options.scores if run.scorings() else None)
    heads = facts.chosen or select_heads(run.heads())
    stored = facts.settings.control_heads
    seed = facts.settings.seed if stored else options.seed
    drawn = control_heads(heads, run.model.heads_per_layer, seed)
    # A scoring with fewer draws has the first of these.
    return heads, drawn if drawn[: len(stored)] == stored else stored


def _losses(
    run: Run,
    reference: ReferenceModel,
    samples: Sequence[Encoded],
    sets: Sequence[Sequence[Head]],
    some: int,
) -> Floats:
    """(1 + sets, n) losses; NaN where a control after the first ones was left out."""
    from circuitseer_core.runs.progress import Progress

    clean = HeadSet(CLEAN, ())
    named = [
        HeadSet(BEST if at == 0 else SAME, tuple(sorted(heads)), draw=at - 1)
        for at, heads in enumerate(sets)
    ]
    first, further = named[: 1 + FIRST_DRAWS], named[1 + FIRST_DRAWS :]
    few = samples[:some] if further else []
    total = len(samples) * (1 + len(first)) + len(few) * len(further)
    with Progress(run, NAME, total, unit="set x sample", phase="Ablating sets") as progress:
        losses = SetMeasurements(run, reference, NAME, [clean, *first]).losses(samples, progress)
        if not few:
            return losses
        others = SetMeasurements(run, reference, NAME, further).losses(few, progress)
    unknown = np.full((len(further), len(samples) - len(few)), np.nan)
    return np.concatenate([losses, np.concatenate([others, unknown], axis=1)])


def _samples(run: Run, reference: ReferenceModel, options: Options) -> tuple[list[Encoded], int]:
    """Encoded samples: held out, of a stored set in hash order, or of other data; with how many of
    that were left out since the probe asks the same."""
    from circuitseer_core.detection.probe import samples_of
    from circuitseer_core.hashing import hash64

    longest = options.max_tokens
    how: dict[str, Any] = {"limit": options.limit, "seed": options.seed, "max_tokens": longest}
    if options.data:
        return beside_probe(run, reference, options.data, asked=Fields.of(options), **how)
    if options.set == "held-out":
        return held_out(run, reference, **how), 0
    probe = run.probe()
    stored = samples_of(probe[probe["set"] == options.set], reference)
    if not stored:
        raise UserError(f"this run has no {options.set} set")
    stored = [sample for sample in stored if longest is None or sample.n_tokens <= longest]
    if not stored:
        raise UserError(f"every sample of the {options.set} set is longer than {longest} tokens")
    keys = hash64(options.seed, "joint", [sample.id for sample in stored])
    return [stored[i] for i in np.argsort(keys, kind="stable")[: options.limit]], 0


def loss_table(losses: Floats, sets: Sequence[Sequence[Head]]) -> pd.DataFrame:
    """ablated, heads, samples, loss, delta, stderr, low, high (nats): a row for clean and each set.

    Args:
        losses: (1 + sets, n) mean losses of n samples; row 0 is clean, NaN is not measured.
    """
    names = ["nothing", "reasoning heads", *(f"control {i}" for i in range(len(sets) - 1))]
    delta = losses - losses[0]
    n = np.isfinite(losses).sum(axis=1)
    error = np.array([_stderr(values) for values in delta])
    mean, reach = np.nanmean(delta, axis=1), t95(n) * error
    return pd.DataFrame(
        {
            "ablated": names,
            "heads": [0, *(len(heads) for heads in sets)],
            "samples": n,
            "loss": np.nanmean(losses, axis=1),
            "delta": mean,
            "stderr": error,
            "low": mean - reach,
            "high": mean + reach,
        }
    )


def summary(losses: Floats, sum_of_singles: float, heads: int) -> dict[str, Any]:
    """The verdict's numbers from losses (1 + sets, n): clean, reasoning heads, controls.

    The gap is that to the mean of the controls with every sample, its error over the samples.
    ``against`` holds the set against what one more random set might do (set_effects.py), and
    ``p_other_than_random`` is the chance by rank that one does as much: both on the samples that
    have every control. None where one sample or control is all there is.
    """
    delta = losses[1:] - losses[0]
    ours, controls = delta[0], delta[1:]
    gap = ours - controls[np.isfinite(controls).all(axis=1)].mean(axis=0)
    full = np.isfinite(delta).all(axis=0)
    enough = full.sum() > 1 and len(controls) > 1
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
        "against": decided([loss_against(ours[full], controls[:, full])])[0] if enough else None,
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
    one = numbers["heads"] == 1
    heads = "one reasoning head" if one else f"{numbers['heads']:,} reasoning heads at once"
    text = (
        f"Ablating the {heads} raises the loss by "
        f"{plain(numbers['joint'])} nats (clean {plain(numbers['clean'])}) over "
        f"{count(numbers['samples'], 'sample')} ({_data(numbers['data'])}); "
        f"{numbers['controls_are']} by {plain(float(np.mean(controls)))} ({draws}; at most "
        f"{plain(max(controls))}). That one more random set does as much has p = "
        f"{plain(numbers['p_other_than_random'])} by rank "
        f"({count(numbers['p_samples'], 'sample')})"
    )
    if (compared := numbers["against"]) is not None:
        text += (
            f"; above what one might do: {signed(compared['gap'])} nats (95 % interval "
            f"{signed(compared['low'])} to {signed(compared['high'])}"
            f"{'' if compared['found'] else ': not beyond'})"
        )
    return (
        f"{text}. {'On the probe it' if one else 'Singly, on the probe, the reasoning heads'} "
        f"{'raises it by' if one else 'add up to'} {plain(numbers['sum_of_singles'])} nats."
        f"{left_out_words(numbers)}"
    )
