"""Greedy continuations of one prompt, clean and with heads ablated, side by side in one batch.

Every row of the batch has a set of heads ablated (none for the clean one), in the prompt and in
every token that is written (see model/generation.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from circuitseer_core.aliases import Head
from circuitseer_core.detection.ablation import AblationMode
from circuitseer_core.errors import UserError
from circuitseer_core.model.attention import Intervention
from circuitseer_core.model.generation import OnTokens, greedy_continuations
from circuitseer_core.model.memory import too_long
from circuitseer_core.model.reference import ReferenceModel


def continue_greedily(
    reference: ReferenceModel,
    prompt: Sequence[int],
    head_sets: Sequence[Sequence[Head]],
    *,
    ablation: AblationMode,
    most: int,
    on_tokens: OnTokens | None = None,
) -> list[list[int]]:
    """The tokens that the model writes after ``prompt``, one list for each of ``head_sets``.

    Args:
        prompt: token ids, at least one.
        head_sets: what is ablated in each row; an empty set is the clean model.
        most: most new tokens; fewer where the model ends its text or runs out of positions.
        on_tokens: called at every step with the new ids of each of ``head_sets`` so far.

    Returns:
        New token ids without the one that ends the text.

    Raises:
        UserError: no room for a new token, or memory does not hold the rows together.
    """
    room = min(most, reference.max_positions - len(prompt))
    if not prompt or room < 1:
        raise UserError(f"a prompt of {len(prompt):,} tokens cannot be continued by this model")
    rows = len(head_sets)

    def intervene(count: int) -> Intervention:
        if count != rows:  # part of the batch, after memory ran out: whose rows is not said
            raise too_long(len(prompt))
        return ablation.plan_sets(head_sets, 1)

    return greedy_continuations(
        reference,
        [prompt] * rows,
        max_new_tokens=room,
        intervene=intervene,
        token_budget=rows * (len(prompt) + room),
        on_tokens=on_tokens,
    )
