"""Scores of a few samples under many sets of heads, in one observed pass.

A score depends on the mean profile over its set of heads. So every head that is in any of the sets
is observed on its own, once, and the sets' profiles are means of those: many sets cost no more
forward passes than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.correlation import correlation, ranks
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import gumbels, hash64
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.scorers import ATTENTION_SCORERS
from circuitseer_core.selection.budgets import rows_of
from circuitseer_core.selection.overlap import drawn, noise_floor, shared

if TYPE_CHECKING:
    from circuitseer_core.model.encoding import EncodedText
    from circuitseer_core.model.reference import ReferenceModel

BATCH_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Rescoring:
    """Which samples to score anew, and how subsets are drawn from the new scores.

    rows: how many samples, of smallest hash under ``seed``; scores: the scoring they are from;
    scorer: an attention scorer; fraction: share of them to draw; device: where the model runs.
    """

    rows: int
    scores: str = "default"
    scorer: str = "variance"
    fraction: float = 0.1
    device: str = "auto"
    seed: int = 0


def rescored(
    run: Run, chosen: Sequence[Head], sets: Sequence[Sequence[Head]], rescoring: Rescoring
) -> dict[str, Any]:
    """How scores and subsets change when ``sets`` take the place of the ``chosen`` heads.

    Returns:
        rows, sets, and means over the sets: spearman, overlap_soft, overlap_top; and the floor of
        overlap_soft (overlap.py).

    Raises:
        UserError: no scores or texts, an unknown scorer, or the model cannot be loaded.
    """
    from circuitseer_core.model.encoding import default_max_length, encode_texts
    from circuitseer_core.model.loading import load_run_model

    if rescoring.scorer not in ATTENTION_SCORERS:
        known = ", ".join(ATTENTION_SCORERS)
        raise UserError(f"{rescoring.scorer!r} is no attention scorer: choose {known}")
    scoring = run.scoring(rescoring.scores)
    ids, texts = scored_texts(run, rescoring)
    reference = load_run_model(run.model, run.model.dtype, rescoring.device)
    longest = default_max_length(reference.max_positions, scoring.max_length)
    encoded = encode_texts(reference.tokenizer, texts, longest)
    scores = scores_under(reference, encoded, [chosen, *sets], rescoring.scorer)
    known_rows = np.isfinite(scores).all(axis=1)
    scores, noise = scores[known_rows], gumbels(rescoring.seed, "rescore", ids)[known_rows]
    k = rows_of(rescoring.fraction, len(scores))
    first = scores[:, 0]
    soft, top = drawn(first, noise, 1.0, k), drawn(first, noise, 0.0, k)
    others = list(scores[:, 1:].T)
    return {
        "rows": len(scores),
        "sets": len(others),
        "scorer": rescoring.scorer,
        "fraction": rescoring.fraction,
        "spearman": _mean(correlation(ranks(first), ranks(other)) for other in others),
        "overlap_soft": _mean(shared(soft, drawn(other, noise, 1.0, k)) for other in others),
        "overlap_soft_floor": noise_floor(first, noise, 1.0, k, rescoring.seed).to_json(),
        "overlap_top": _mean(shared(top, drawn(other, noise, 0.0, k)) for other in others),
    }


def scores_under(
    reference: ReferenceModel,
    encoded: Sequence[EncodedText],
    sets: Sequence[Sequence[Head]],
    scorer: str,
) -> Floats:
    """(n, sets) scores of n encoded texts by the mean profile of each set of heads."""
    import torch

    from circuitseer_core.model.batches import group_by_tokens, pad
    from circuitseer_core.scoring.profiles import HeadPlan, observe
    from circuitseer_core.scoring.scorers import attention_scores

    union = sorted({head for heads in sets for head in heads})
    plan = HeadPlan([[head] for head in union], reference.device)
    mixing = np.zeros((len(sets), len(union)), dtype=np.float32)  # (sets, heads)
    for row, heads in enumerate(sets):
        mixing[row, [union.index(head) for head in heads]] = 1 / len(heads)
    out = np.full((len(encoded), len(sets)), np.nan)
    for group in group_by_tokens([len(text.ids) for text in encoded], BATCH_TOKENS):
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
        out[group] = attention_scores(profiles, flat, lengths, special)[scorer]
    return out


def scored_texts(run: Run, rescoring: Rescoring) -> tuple[list[str], list[str]]:
    """Ids and scored texts of ``rows`` samples of smallest hash that have a text."""
    from circuitseer_core.data.sample import scored_text
    from circuitseer_core.runs.texts import chosen_texts

    every = run.scores(rescoring.scores, ["id"])["id"].tolist()
    order = np.argsort(hash64(rescoring.seed, "rescore-sample", every), kind="stable")
    picked = [every[i] for i in order[: rescoring.rows]]
    part = run.scoring(rescoring.scores).text
    rows = chosen_texts(run, rescoring.scores, picked).to_pylist()
    pairs = [(r["id"], scored_text(part, r["prompt"], r["response"])) for r in rows]
    known = [(i, text) for i, text in pairs if text]
    if len(known) < 2:
        raise UserError("too few of the scored samples have their text at hand")
    return [i for i, _ in known], [text for _, text in known]


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))
