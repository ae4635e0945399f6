"""Greedy continuations of one prompt, clean and with heads ablated, side by side in one batch.

Every row of the batch has a set of heads ablated (none for the clean one), in the prompt and in
every token that is written. A step runs the new tokens alone; keys and values of earlier ones come
from the cache. Under uniform ablation a head's output is then the mean of the values so far: the
cached ones and the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from circuitseer_core.aliases import Head
from circuitseer_core.detection.ablation import AblationMode
from circuitseer_core.errors import UserError
from circuitseer_core.model.attention import intervening
from circuitseer_core.model.reference import ReferenceModel


def continue_greedily(
    reference: ReferenceModel,
    prompt: Sequence[int],
    head_sets: Sequence[Sequence[Head]],
    *,
    ablation: AblationMode,
    most: int,
    on_step: Callable[[int], object] | None = None,
) -> list[list[int]]:
    """The tokens that the model writes after ``prompt``, one list for each of ``head_sets``.

    Args:
        prompt: token ids, at least one.
        head_sets: what is ablated in each row; an empty set is the clean model.
        most: most new tokens; fewer where the model ends its text or runs out of positions.
        on_step: called with the number of tokens written so far.

    Returns:
        New token ids without the one that ends the text.
    """
    room = min(most, reference.max_positions - len(prompt))
    if not prompt or room < 1:
        raise UserError(f"a prompt of {len(prompt):,} tokens cannot be continued by this model")
    ends = end_tokens(reference)
    written = torch.tensor([list(prompt)] * len(head_sets), device=reference.device)
    fresh, cache = written, None
    with torch.inference_mode(), intervening(ablation.plan_sets(head_sets, 1)):
        for step in range(1, room + 1):
            hidden, cache = reference.hidden_after(fresh, cache)
            best = reference.logits(hidden[:, -1]).argmax(-1, keepdim=True)
            written = torch.cat([written, best], 1)
            fresh = best if cache is not None else written
            if on_step is not None:
                on_step(step)
            if _all_ended(written[:, len(prompt) :], ends):
                break
    return [_until(row, ends) for row in written[:, len(prompt) :].tolist()]


def end_tokens(reference: ReferenceModel) -> set[int]:
    """The token ids that end a text, from the model's generation settings and its tokenizer."""
    settings: Any = getattr(reference.model, "generation_config", None)
    named = getattr(settings, "eos_token_id", None)
    ids = named if isinstance(named, list) else [named]
    return {int(i) for i in [*ids, reference.tokenizer.eos_token_id] if i is not None}


def _all_ended(written: Tensor, ends: set[int]) -> bool:
    return all(any(token in ends for token in row) for row in written.tolist())


def _until(row: list[int], ends: set[int]) -> list[int]:
    stop = next((i for i, token in enumerate(row) if token in ends), len(row))
    return row[:stop]
