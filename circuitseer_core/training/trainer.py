"""Transformers' Trainer for the steps of a study: one item a step, its examples batched by length.

A step holds about so many tokens, in texts of any lengths. Padded to one batch a long text beside
many short ones would make the step a multiple of its tokens, so a step is cut into parts of like
lengths whose gradients add up; each counts by its share of the step's loss tokens, so that the
step's loss is what one batch of all of it would give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from circuitseer_core.model.batches import group_by_tokens
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.placement import make_current
from circuitseer_core.training.examples import Step

IGNORED = -100
"""The label of a token whose loss does not count, as Transformers has it."""
_PADDED = 2
"""A part of a step has at most this many positions for every token of the step."""

Part = dict[str, Tensor]
"""(B, T) ids, mask and labels."""


class Steps(Dataset[list[Encoded]]):
    """One item an optimiser step: its examples."""

    def __init__(self, examples: Sequence[Encoded], steps: Sequence[Step]) -> None:
        self.examples, self.steps = examples, steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, number: int) -> list[Encoded]:
        return [self.examples[i] for i in self.steps[number]]


class Watch(TrainerCallback):
    """Tells of every optimiser step."""

    def __init__(self, on_step: Callable[[], object]) -> None:
        self.on_step = on_step

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """One more is done."""
        self.on_step()


class DeviceArguments(TrainingArguments):
    """Arguments for a model that lies where it is to be trained.

    Transformers takes the first GPU, whichever the model is on, and makes it the current one.
    """

    _place: torch.device | None = None

    @property
    def device(self) -> torch.device:
        """Where batches go."""
        return self._place or super().device

    def stay_on(self, device: torch.device) -> None:
        """Train on this device alone."""
        self._place = device
        self._n_gpu = min(1, self.n_gpu)  # several GPUs would split a step of one item
        make_current(device)


class StepTrainer(Trainer):
    """A trainer of whole steps, which prints nothing of what it logs."""

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        """Add up the gradients of a step's parts: the mean loss of all its loss tokens, ()."""
        model.train()
        losses = []
        for part, share in zip(inputs["parts"], inputs["shares"], strict=True):
            with self.compute_loss_context_manager():
                loss = model(**self._prepare_inputs(part)).loss * share
            self.accelerator.backward(loss)
            losses.append(loss.detach())
        return torch.stack(losses).sum()

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: it would be asked of one batch."""
        return 0

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Keep, without a word."""
        self.state.log_history.append({**logs, "step": self.state.global_step})


def step_parts(items: list[list[Encoded]]) -> dict[str, list[Any]]:
    """The examples of one step as ``parts``, each padded on the right to its own longest.

    With them their ``shares`` of the step's loss tokens.
    """
    examples = [example for item in items for example in item]
    lengths = [example.n_tokens for example in examples]
    groups = group_by_tokens(lengths, _PADDED * sum(lengths))
    parts = [_padded([examples[i] for i in group]) for group in groups]
    counts = [_loss_tokens(part) for part in parts]
    return {"parts": parts, "shares": [count / sum(counts) for count in counts]}


def _padded(examples: Sequence[Encoded]) -> Part:
    longest = max(example.n_tokens for example in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, example in enumerate(examples):
        whole = torch.tensor(example.ids)
        ids[row, : len(whole)] = whole
        mask[row, : len(whole)] = 1
        labels[row, example.loss_from : len(whole)] = whole[example.loss_from :]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def _loss_tokens(part: Part) -> int:
    """Tokens whose loss counts; the first of a text is predicted by nothing."""
    return int((part["labels"][:, 1:] != IGNORED).sum())
