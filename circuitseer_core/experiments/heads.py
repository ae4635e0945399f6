"""Are the reasoning heads needed, do they suffice, and is that special to reasoning?

1. Ablate the k best heads together on held-out samples of reasoning and, where there is such data,
   on other text; and random sets of as many heads (of the same layers, and of any), and all heads.
2. The other way round: ablate everything *but* these heads.
3. Loss by source with bootstrap intervals; each set of reasoning heads against what one more random
   set might do (set_effects.py), corrected by Holm over all comparisons.
4. Specificity: the relative rise of the loss on reasoning less that on other text.
5. Where the model can answer at all: the share of right greedy answers, ablated while it writes.

Single-head importance says nothing of 1 and 2: heads can stand in for each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core.aliases import Floats
from circuitseer_core.data.fields import Fields
from circuitseer_core.detection.heads import select_heads
from circuitseer_core.experiments import set_effects
from circuitseer_core.experiments.cost import forward_seconds
from circuitseer_core.experiments.experiment import (
    DataOptions,
    ExperimentResult,
    ModelDevice,
    ModelDtype,
)
from circuitseer_core.experiments.head_answers import AnswerOptions, answered
from circuitseer_core.experiments.head_sets import (
    ALL,
    ANY,
    BEST,
    CLEAN,
    SAME,
    HeadSet,
    SetMeasurements,
    sets_of,
)
from circuitseer_core.experiments.head_words import OTHER, REASONING, outcome, plots, verdict
from circuitseer_core.experiments.held_out import (
    Words,
    beside_probe,
    held_out,
    of_data,
    probe_data,
    run_model,
)
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.reading import probe_fields

if TYPE_CHECKING:
    from circuitseer_core.model.encoding import Encoded
    from circuitseer_core.model.reference import ReferenceModel

NAME = "heads"


class Options(AnswerOptions, DataOptions):
    """Options of ``validate heads``."""

    data: Words = Field((), description="reasoning DATA, separated by commas; none: held-out probe")
    other: Words = Field((), description="DATA that needs no reasoning, for the specificity")
    shares: Words = Field(
        ("0.01", "0.02", "0.05", "0.1"), description="shares of all heads to ablate together"
    )
    draws: int = Field(10, ge=2, description="random sets of each kind and share")
    keep: bool = Field(True, description="also the other way round: only these heads kept")
    limit: int = Field(40, ge=2, description="samples of reasoning, and of other text, at most")
    max_tokens: int | None = Field(None, ge=2, description="longer samples are left out")
    rank_by: str = Field(
        "importance", pattern="importance|specificity", description="what makes a reasoning head"
    )
    device: ModelDevice = "auto"
    dtype: ModelDtype = "run"
    seed: int = Field(0, description="seed of samples, random sets and bootstraps")


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module. Goes on where an earlier try stopped.

    Raises:
        UserError: no detection yet, no usable sample, a share wider than the last field of a race,
            or the model cannot be loaded.
    """
    chosen = Options.of(**options)
    table = run.heads()
    best = {share: select_heads(table, share, chosen.rank_by) for share in chosen.shares}
    silenced = select_heads(table, chosen.answer_share, chosen.rank_by) if chosen.answers else []
    from circuitseer_core.runs.progress import Progress

    own = [*(() if chosen.data else probe_data(run)), *(() if chosen.other else _contrast(run))]
    reference = run_model(
        run, chosen.dtype, chosen.device, data=[*chosen.data, *chosen.other, *chosen.answer_data],
        asked=Fields.of(chosen), own=own, max_tokens=chosen.max_tokens,
    )  # fmt: skip
    groups, left_out = _samples(run, reference, chosen)
    sets = sets_of(best, reference.heads_per_layer, chosen.draws, chosen.seed, keep=chosen.keep)
    samples = [sample for group in groups.values() for sample in group]
    answers = answered(run, reference, groups[REASONING], silenced, chosen)
    total = len(sets) * len(samples)
    with Progress(run, NAME, total, unit="set x sample", phase="Ablating sets") as progress:
        losses = SetMeasurements(run, reference, NAME, sets).losses(samples, progress)
    where = np.repeat(list(groups), [len(group) for group in groups.values()])
    numbers = summary(losses, where.tolist(), sets, chosen.seed)
    numbers |= {"answers": answers, "heads": {s: len(h) for s, h in best.items()}}
    numbers["left_out"] = left_out
    labels = pd.DataFrame(
        [(s.label, s.kind, s.share, s.keep, s.draw, len(s.ablated)) for s in sets],
        columns=["set", "heads", "share", "keep", "draw", "ablated"],
    )
    details = set_effects.by_source(losses, [s.source for s in samples], labels)
    title = "Are the reasoning heads needed, do they suffice, and for what?"
    drawn = plots(chosen.shares, chosen.keep)
    return ExperimentResult(
        NAME, title, verdict(numbers), numbers, details, outcome(numbers), drawn
    )


def estimated_seconds(run: Run, **options: Any) -> float:
    """About what it takes on this machine, answers included."""
    chosen = Options.of(**options)
    tokens = float(run.probe()["n_tokens"].mean())
    if chosen.max_tokens is not None:
        tokens = min(tokens, chosen.max_tokens)
    sets = 2 + len(chosen.shares) * (1 + 2 * chosen.draws) * (1 + chosen.keep)
    losses = 2 * sets * chosen.limit * tokens
    answers = (2 + chosen.draws) * chosen.answers * (tokens + chosen.max_new_tokens)
    return forward_seconds(run, losses + answers)


def _samples(
    run: Run, reference: ReferenceModel, options: Options
) -> tuple[dict[str, list[Encoded]], int]:
    """Reasoning samples and, where there is data for them, others; with how many samples of the
    data were left out since the probe asks the same."""
    how: dict[str, Any] = {
        "limit": options.limit,
        "seed": options.seed,
        "max_tokens": options.max_tokens,
    }
    left_out, asked = 0, Fields.of(options)
    if options.data:
        reasoning, left_out = beside_probe(run, reference, options.data, asked=asked, **how)
    else:
        reasoning = held_out(run, reference, **how)
    groups = {REASONING: reasoning}
    if options.other:
        groups[OTHER], more = beside_probe(run, reference, options.other, asked=asked, **how)
        left_out += more
    elif other := _contrast(run):
        contrast = set(run.probe().query("set == 'contrast'")["id"])
        own = probe_fields(run)
        groups[OTHER] = of_data(run, reference, other, without=contrast, fields=own, **how)
    return groups, left_out


def _contrast(run: Run) -> Sequence[str]:
    """The DATA of the run's contrast, text that needs no reasoning."""
    settings = run.detection.settings
    return settings.contrast if settings else ()


def summary(
    losses: Floats, where: Sequence[str], sets: Sequence[HeadSet], seed: int = 0
) -> dict[str, Any]:
    """The verdict's numbers from (S, n) losses, the group of each sample and the S sets.

    ``rows`` hold one comparison each: what (ablate, keep, specificity), group, share, against which
    random sets, and the numbers of ``Against``; a positive gap says that the reasoning heads matter
    more (for keep: the loss stays lower with them).
    """
    groups = {name: losses[:, [w == name for w in where]] for name in dict.fromkeys(where)}
    at = {(s.kind, s.share, s.keep, s.draw): i for i, s in enumerate(sets)}
    shares = list(dict.fromkeys(s.share for s in sets if s.share))
    keys: list[dict[str, Any]] = []
    effects: list[set_effects.Against] = []
    for share in shares:
        for kind in (SAME, ANY):
            for keep in (False, True):
                rows = [i for (k, s, q, _), i in at.items() if (k, s, q) == (kind, share, keep)]
                if not rows:
                    continue
                ours = at[BEST, share, keep, -1]
                for name, own in groups.items():
                    rise = (own - own[0]) * (-1 if keep else 1)
                    what = "keep" if keep else "ablate"
                    keys.append({"what": what, "group": name, "share": share, "against": kind})
                    effects.append(set_effects.loss_against(rise[ours], rise[rows]))
                if len(groups) > 1 and not keep:
                    one, other = (own[[0, ours, *rows]] for own in groups.values())
                    compared, interval = set_effects.specificity_against(one, other, seed)
                    key = {"what": "specificity", "group": REASONING, "share": share}
                    keys.append(key | {"against": kind, "interval": interval})
                    effects.append(compared)
    decided = set_effects.decided(effects)
    return {
        "groups": {name: _group(own, at) for name, own in groups.items()},
        "rows": [key | each for key, each in zip(keys, decided, strict=True)],
        "comparisons": len(effects),
    }


def _group(own: Floats, at: dict[Any, int]) -> dict[str, Any]:
    everything = own[at[ALL, "", False, -1]] - own[at[CLEAN, "", False, -1]]
    return {
        "samples": own.shape[1],
        "clean": float(own[0].mean()),
        "all_heads": float(everything.mean()),
    }
