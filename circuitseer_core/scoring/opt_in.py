"""Scores beyond the profiles, each a pass of its own over a window: baselines, heads' influence."""

from __future__ import annotations

from collections.abc import Callable, Container

import numpy as np

from circuitseer_core.aliases import Floats
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.columns import INFLUENCE
from circuitseer_core.scoring.baselines import baseline_scores
from circuitseer_core.scoring.control_heads import FIRST_DRAWS, draws_carried
from circuitseer_core.scoring.encoded_window import EncodedWindow
from circuitseer_core.scoring.influence import head_influence
from circuitseer_core.scoring.shard_plan import ShardPlan


def wants_more(plan: ShardPlan) -> bool:
    """Whether anything beside the profiles is asked for."""
    return plan.template is not None or plan.influence


def opt_in_scores(
    reference: ReferenceModel,
    plan: ShardPlan,
    encoded: EncodedWindow,
    failures: Container[int],
    controls: dict[str, Floats],
    *,
    token_budget: int,
    count: Callable[[int], None],
    alive: Callable[[int], None],
) -> dict[str, Floats]:
    """Name -> (n,) scores of a window; those that are not asked for are left out.

    Args:
        failures: samples that are rejects already, by number.
        controls: random heads' scores, name -> (n, draws); the influence's are added.
        count: called with the number of samples done, in the last pass.
        alive: called in the passes before it.
    """
    scores: dict[str, Floats] = {}
    if plan.template is not None:
        scores |= baseline_scores(
            reference,
            encoded.samples,
            template=plan.template,
            token_budget=token_budget,
            on_batch=alive if plan.influence else count,
        )
    if not plan.influence:
        return scores
    n = len(encoded.samples)
    out, of_random = np.full(n, np.nan), np.full((n, FIRST_DRAWS), np.nan)
    # The further draws come with the profiles alone: here each set costs a pass of its own.
    draws = [draw for draw in plan.control_heads if draw][:FIRST_DRAWS]
    ids = [sample.id for sample in encoded.samples]
    carry = draws_carried(plan.seed, ids, plan.control_share, 0.0) > 0
    carry &= plan.influence_controls
    usable = np.array([i not in failures for i in range(n)], dtype=bool)
    for controlled in (True, False):
        members = np.flatnonzero(usable & (carry == controlled))
        sets = [plan.heads, *(draws if controlled else [])]
        texts = [encoded.texts[i] for i in members]
        influence = head_influence(
            reference, texts, sets, token_budget=token_budget, on_batch=count
        )
        out[members] = influence[0]
        of_random[members, : len(sets) - 1] = influence[1:].T
    if plan.influence_controls:
        controls[INFLUENCE] = of_random
    return scores | {INFLUENCE: out}
