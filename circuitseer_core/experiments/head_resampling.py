"""Scores of a few samples under many sets of heads, in one observed pass.

A score depends on the mean profile over its set of heads. So every head that is in any of the sets
is observed on its own, once, and the sets' profiles are means of those: many sets cost no more
forward passes than one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.correlation import correlation, ranks
from circuitseer_core.distributions import t95
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.experiment import (
    ExperimentOptions,
    ModelDevice,
)
from circuitseer_core.experiments.held_out import run_model
from circuitseer_core.experiments.kept_parts import KeptParts
from circuitseer_core.hashing import gumbels, hash64
from circuitseer_core.runs.columns import ATTENTION_SCORERS
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.budgets import rows_of
from circuitseer_core.selection.overlap import NoiseFloor, drawn, noise_floor, shared

if TYPE_CHECKING:
    from circuitseer_core.model.encoding import EncodedText
    from circuitseer_core.model.reference import ReferenceModel

BATCH_TOKENS = 2048


class RescoringOptions(ExperimentOptions):
    """Options of experiments that may score some samples anew, under other heads."""

    scores: str = Field("default", description="the scoring whose heads are meant")
    rescore: int = Field(0, ge=0, description="scored samples to score anew; 0: none, no model")
    scorer: str = Field("variance", description="the attention scorer to draw by")
    fraction: float = Field(0.1, gt=0, le=1, description="share of the samples to draw")
    device: ModelDevice = "auto"
    seed: int = Field(0, description="seed of every resampling")


def rescored(
    run: Run,
    name: str,
    chosen: Sequence[Head],
    sets: Mapping[str, Sequence[Sequence[Head]]],
    options: RescoringOptions,
    *,
    against: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """How scores and subsets change when ``sets`` take the place of the ``chosen`` heads.

    Args:
        run: scored, with texts at hand.
        name: of the experiment, under which the scores are kept as they are made.
        chosen: the heads that the others are compared with.
        sets: one or more sets of heads by the name of what made them.
        options: how many samples, which scorer, what share is drawn.
        against: by name the name of as many sets, with which it is compared set by set.

    Returns:
        rows, sets, and means over the sets: spearman, overlap_soft, overlap_top; and of
        overlap_soft its floor (overlap.py), and where it stands between that and 1. ``by_name``:
        the same means for the sets of every name, and the ``_interval`` of each measure for one
        more such set (None for a single one). ``falls``: by name how much less its sets keep of
        the soft draw than those they are ``against``, with the interval for one more such pair.

    Raises:
        UserError: no scores or texts, an unknown scorer, or the model cannot be loaded.
    """
    from circuitseer_core.model.encoding import default_max_length, encode_texts

    if options.scorer not in ATTENTION_SCORERS:
        known = ", ".join(ATTENTION_SCORERS)
        raise UserError(f"{options.scorer!r} is no attention scorer: choose {known}")
    scoring = run.scoring(options.scores)
    ids, texts = scored_texts(run, options.scores, options.rescore, options.seed)
    reference = run_model(run, "run", options.device)
    longest = default_max_length(reference.max_positions, scoring.max_length)
    encoded = encode_texts(reference.tokenizer, texts, longest)
    every = [heads for of in sets.values() for heads in of]
    scores = scores_under(run, name, reference, encoded, [chosen, *every], options.scorer)
    known_rows = np.isfinite(scores).all(axis=1)
    scores, noise = scores[known_rows], gumbels(options.seed, "rescore", ids)[known_rows]
    k = rows_of(options.fraction, len(scores))
    floor = noise_floor(scores[:, 0], noise, 1.0, k, options.seed)
    sizes = {of: len(members) for of, members in sets.items()}
    return {
        "rows": len(scores),
        "sets": len(every),
        "scorer": options.scorer,
        "fraction": options.fraction,
        "overlap_soft_floor": floor.to_json(),
        **_in_all_and_by_name(_kept(scores, noise, k), sizes, floor, against or {}),
    }


def _in_all_and_by_name(
    kept: Floats, sizes: Mapping[str, int], floor: NoiseFloor, against: Mapping[str, str]
) -> dict[str, Any]:
    """What (sets, 3) measures of sets come to, so many of every name in turn."""
    ends = np.cumsum(list(sizes.values()))[:-1]
    named = dict(zip(sizes, np.split(kept, ends), strict=True))
    return {
        **_means(kept, floor),
        "by_name": {
            name: {"sets": len(values)} | _means(values, floor) | _intervals(values)
            for name, values in named.items()
        },
        "falls": {
            one: _fall(named[other][:, 1] - named[one][:, 1]) for one, other in against.items()
        },
    }


MEASURES = {"spearman": -1.0, "overlap_soft": 0.0, "overlap_top": 0.0}
"""What is measured of every set, and the least it can be (the most is 1)."""


def _kept(scores: Floats, noise: Floats, k: int) -> Floats:
    """(sets, 3) MEASURES of the (n, 1 + sets) scores against the first column's."""
    first, *others = scores.T
    soft, top = drawn(first, noise, 1.0, k), drawn(first, noise, 0.0, k)
    return np.array(
        [
            (
                correlation(ranks(first), ranks(other)),
                shared(soft, drawn(other, noise, 1.0, k)),
                shared(top, drawn(other, noise, 0.0, k)),
            )
            for other in others
        ]
    )


def _means(kept: Floats, floor: NoiseFloor) -> dict[str, float]:
    means = dict(zip(MEASURES, kept.mean(axis=0).tolist(), strict=True))
    return means | {"overlap_soft_beyond_floor": floor.beyond(means["overlap_soft"])}


def _intervals(kept: Floats) -> dict[str, list[float] | None]:
    """95 % intervals for one more set of the kind, not for the mean.

    The sets come of one probe and are no independent ones: an interval of their mean would shrink
    with every set that is drawn, though the probe tells no more.
    """
    if len(kept) < 2:
        return {f"{name}_interval": None for name in MEASURES}
    middle, reach = kept.mean(axis=0), _one_more(len(kept)) * kept.std(axis=0, ddof=1)
    return {
        f"{name}_interval": [max(least, float(low)), min(1.0, float(high))]
        for (name, least), low, high in zip(
            MEASURES.items(), middle - reach, middle + reach, strict=True
        )
    }


def _one_more(count: int) -> float:
    """Standard deviations on either side of a mean of so many that one more stays within."""
    return float(t95(count)) * math.sqrt(1 + 1 / count)


def _fall(differences: Floats) -> list[float]:
    """The mean of (sets,) differences, and the 95 % interval for one more; NaN for a single one."""
    spread = differences.std(ddof=1) if len(differences) > 1 else np.nan
    middle, reach = float(differences.mean()), float(_one_more(len(differences)) * spread)
    return [middle, middle - reach, middle + reach]


def scores_under(
    run: Run,
    name: str,
    reference: ReferenceModel,
    encoded: Sequence[EncodedText],
    sets: Sequence[Sequence[Head]],
    scorer: str,
) -> Floats:
    """(n, sets) scores of n encoded texts by the mean profile of each set of heads; kept batch by
    batch under ``name``."""
    import torch

    from circuitseer_core.model.batches import group_by_tokens, pad
    from circuitseer_core.model.memory import in_halves
    from circuitseer_core.runs.progress import Progress
    from circuitseer_core.scoring.profiles import HeadPlan, observe
    from circuitseer_core.scoring.scorers import attention_scores

    union = sorted({head for heads in sets for head in heads})
    plan = HeadPlan([[head] for head in union], reference.device)
    mixing = np.zeros((len(sets), len(union)), dtype=np.float32)  # (sets, heads)
    for row, heads in enumerate(sets):
        mixing[row, [union.index(head) for head in heads]] = 1 / len(heads)
    kept = KeptParts(
        run, f"{name}-scores", str(reference.dtype), scorer, sets, [text.ids for text in encoded]
    )

    def scores(group: Sequence[int]) -> Floats:
        batch = [encoded[i] for i in group]
        lengths = np.array([len(text.ids) for text in batch], dtype=np.int64)
        special = np.zeros((len(batch), int(lengths.max())), dtype=bool)
        for row, text in enumerate(batch):
            special[row, : lengths[row]] = text.special
        ids = pad([text.ids for text in batch], reference.device)
        profiled = observe(reference, ids, torch.tensor(lengths, device=reference.device), plan)
        profiles, flat = (
            np.einsum("sh,bht->bst", mixing, tensor.cpu().numpy())
            for tensor in (profiled.observed, profiled.flat)
        )
        return attention_scores(profiles, flat, lengths, special)[scorer]

    def measured(group: Sequence[int]) -> Floats:
        parts = in_halves(group, scores, reference.device, lambda i: len(encoded[i].ids))
        return np.concatenate([own for _, own in parts])

    groups = group_by_tokens([len(text.ids) for text in encoded], BATCH_TOKENS)
    with Progress(run, name, len(encoded), unit="samples", phase="Scoring anew") as progress:
        return kept.by_groups(groups, measured, progress)


def scored_texts(run: Run, scores: str, count: int, seed: int) -> tuple[list[str], list[str]]:
    """Ids and scored texts of the ``count`` samples of smallest hash, of those that have a text."""
    from circuitseer_core.data.sample import scored_text
    from circuitseer_core.runs.texts import chosen_texts

    every = run.scores(scores, ["id"])["id"].tolist()
    order = np.argsort(hash64(seed, "rescore-sample", every), kind="stable")
    picked = [every[i] for i in order[:count]]
    part = run.scoring(scores).text
    rows = chosen_texts(run, scores, picked).to_pylist()
    pairs = [(r["id"], scored_text(part, r["prompt"], r["response"])) for r in rows]
    known = [(i, text) for i, text in pairs if text]
    if len(known) < 2:
        raise UserError("too few of the scored samples have their text at hand")
    return [i for i, _ in known], [text for _, text in known]
