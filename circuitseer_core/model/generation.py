"""Greedy continuations, batched, with heads ablated while the model writes.

The one place where text is generated. Transformers' own ``generate`` does it, with its key/value
cache, under whatever interventions are active: an ablated head is ablated on the prompt and at
every new token, as attention.py knows of cached keys. Prompts of a batch are padded on the left and
the padding is masked, so that a continuation is what the prompt alone would have given, to rounding
(a tie between two tokens may fall otherwise).

Nothing is sampled: no temperature, no penalties, no forbidden tokens, whatever the model's own
defaults are; of these only the tokens that end a text are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor
from transformers import GenerationConfig

from circuitseer_core.model.attention import Intervention, intervening
from circuitseer_core.model.batches import group_by_tokens
from circuitseer_core.model.memory import fitting, release, too_long
from circuitseer_core.model.reference import ReferenceModel

Intervene = Callable[[int], Intervention]
"""From the number of rows of a batch to what is done at its attention layers."""

OnTokens = Callable[[list[list[int]]], object]
"""What is told of a text in the making: the new token ids of every row of the batch so far."""


def greedy_continuations(
    reference: ReferenceModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    intervene: Intervene | None = None,
    token_budget: int = 4096,
    on_prompts: Callable[[int], object] = lambda n: None,
    on_tokens: OnTokens | None = None,
) -> list[list[int]]:
    """The most likely continuation of each prompt, token by token.

    Args:
        prompts: token ids, none empty (``encode_prompt`` makes them).
        max_new_tokens: most tokens written; fewer where the model's positions end before, none
            behind a prompt that fills them.
        intervene: makes the intervention for a batch of so many rows, as in
            ``lambda rows: AblationMode().plan_sets([heads], rows)``; None for the clean model.
        token_budget: tokens of a batch, prompts and continuations together.
        on_prompts: called after each batch with its number of prompts.
        on_tokens: called after every step of the batch at work.

    Returns:
        Token ids of each continuation, without the end-of-text token where one was written.

    Raises:
        UserError: a single prompt is more than memory holds.
    """
    out: list[list[int]] = [[] for _ in prompts]
    groups = _groups(prompts, max_new_tokens, reference.max_positions, token_budget)
    while groups:
        room, group = groups.pop(0)
        rows = [prompts[i] for i in group]
        written = fitting(partial(_continued, reference, rows, room, intervene, on_tokens))
        if written is None:
            release(reference.device)
            if len(group) == 1:
                raise too_long(len(rows[0]))
            middle = len(group) // 2
            groups[:0] = [(room, group[:middle]), (room, group[middle:])]
            continue
        for i, ids in zip(group, written, strict=True):
            out[i] = ids
        on_prompts(len(group))
    return out


def _groups(
    prompts: Sequence[Sequence[int]], most: int, positions: int, token_budget: int
) -> list[tuple[int, list[int]]]:
    """Batches as prompts' numbers, each with how many tokens may be written behind its prompts.

    A batch is written to one length, so near the end of the positions only prompts of one room go
    together: a longer prompt beside it would cut a shorter one's continuation short.
    """
    by_room: dict[int, list[int]] = {}
    for i, prompt in enumerate(prompts):
        by_room.setdefault(max(0, min(most, positions - len(prompt))), []).append(i)
    return [
        (room, [numbers[k] for k in group])
        for room, numbers in sorted(by_room.items(), reverse=True)
        for group in group_by_tokens([len(prompts[i]) + room for i in numbers], token_budget)
    ]


def _continued(
    reference: ReferenceModel,
    prompts: Sequence[Sequence[int]],
    room: int,
    intervene: Intervene | None,
    on_tokens: OnTokens | None,
) -> list[list[int]]:
    """Continuations of one batch, of at most ``room`` tokens."""
    if room < 1:
        return [[] for _ in prompts]
    ids, mask = _padded_left(prompts, reference.device)
    stops = end_tokens(reference)
    config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=room,
        eos_token_id=stops or None,
        pad_token_id=stops[0] if stops else 0,
    )
    active = intervening(intervene(len(prompts))) if intervene else nullcontext()
    steps = None if on_tokens is None else _Steps(set(stops), on_tokens)
    with torch.inference_mode(), active:
        whole = reference.generate(
            ids, attention_mask=mask, generation_config=config, streamer=steps
        )
    return [_until(row, set(stops)) for row in whole[:, ids.shape[1] :].tolist()]


class _Steps:
    """What ``generate`` hands its tokens to: first the prompts (B, T), then (B,) at every step."""

    def __init__(self, stops: set[int], on_tokens: OnTokens) -> None:
        self.stops, self.on_tokens = stops, on_tokens
        self.rows: list[list[int]] = []

    def put(self, tokens: Tensor) -> None:
        if tokens.dim() > 1:
            self.rows = [[] for _ in tokens]
            return
        for row, token in zip(self.rows, tokens.tolist(), strict=True):
            row.append(token)
        self.on_tokens([_until(row, self.stops) for row in self.rows])

    def end(self) -> None:
        """There is nothing held back."""


def _padded_left(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """(B, T) ids and mask; left, so that all prompts end where the continuation begins."""
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, longest - len(prompt) :] = 1
    return ids.to(device), mask.to(device)


def end_tokens(reference: ReferenceModel) -> list[int]:
    """The tokens that end a text: the model's generation settings', else the tokenizer's."""
    known = getattr(reference.model.generation_config, "eos_token_id", None)
    if known is None:
        known = reference.tokenizer.eos_token_id
    if known is None:
        return []
    return [int(token) for token in (known if isinstance(known, list) else [known])]


def _until(ids: list[int], stops: set[int]) -> list[int]:
    """``ids`` before the first of ``stops``."""
    return ids[: next((i for i, token in enumerate(ids) if token in stops), len(ids))]
