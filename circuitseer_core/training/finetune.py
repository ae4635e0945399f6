"""Fine-tune the target model on one arm with Transformers' Trainer, in full or by LoRA.

The loss is the cross-entropy of the response's tokens alone. The weights are put back before every
arm, so that arms differ in their data and their order only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from circuitseer_core.errors import UserError
from circuitseer_core.installation import require_extra
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.training.examples import Step

IGNORED = -100
"""The label of a token whose loss does not count, as Transformers has it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained. ``lora_rank`` 0 trains every weight; ``bf16`` is autocast."""

    learning_rate: float
    lora_rank: int = 0
    bf16: bool = False
    warmup_share: float = 0.05


class _Steps(Dataset[list[Encoded]]):
    """One item an optimiser step: its examples."""

    def __init__(self, examples: Sequence[Encoded], steps: Sequence[Step]) -> None:
        self.examples, self.steps = examples, steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, number: int) -> list[Encoded]:
        return [self.examples[i] for i in self.steps[number]]


class _Watch(TrainerCallback):
    def __init__(self, on_step: Callable[[], object]) -> None:
        self.on_step = on_step

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.on_step()


class Weights:
    """A copy of a model's weights, and of which are trained, to begin every arm from the same."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.kept = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.trained = [parameter.requires_grad for parameter in model.parameters()]

    def put_back(self, model: torch.nn.Module) -> None:
        """Undo training."""
        model.load_state_dict(self.kept)
        for parameter, trained in zip(model.parameters(), self.trained, strict=True):
            parameter.requires_grad_(trained)
            parameter.grad = None


@contextmanager
def finetuned(
    reference: ReferenceModel,
    weights: Weights,
    examples: Sequence[Encoded],
    steps: Sequence[Step],
    recipe: Recipe,
    *,
    seed: int,
    on_step: Callable[[], object] = lambda: None,
) -> Iterator[ReferenceModel]:
    """The model trained on ``steps`` of ``examples``; its weights are put back when the block ends.

    Raises:
        UserError: LoRA is asked for and peft is not installed, or the loss is not finite.
    """
    model = reference.model
    weights.put_back(model)
    trained = _with_lora(model, recipe.lora_rank, seed) if recipe.lora_rank else model
    try:
        losses = _train(trained, reference.device, examples, steps, recipe, seed, on_step)
        model.eval()
        if not all(map(torch.isfinite, map(torch.tensor, losses))):
            raise UserError(f"training at learning rate {recipe.learning_rate:g} diverged")
        yield reference
    finally:
        if trained is not model:
            trained.unload()
        weights.put_back(model)
        model.eval()


def _train(
    model: Any,
    device: torch.device,
    examples: Sequence[Encoded],
    steps: Sequence[Step],
    recipe: Recipe,
    seed: int,
    on_step: Callable[[], object],
) -> list[float]:
    """Train in place; the losses that the trainer saw."""
    model.train()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=len(steps),
            per_device_train_batch_size=1,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=max(1, round(recipe.warmup_share * len(steps))),
            weight_decay=0.0,
            bf16=recipe.bf16,
            use_cpu=device.type == "cpu",
            seed=seed,
            save_strategy="no",
            logging_steps=1,
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=device.type == "cuda",
        )
        arguments._n_gpu = min(1, arguments.n_gpu)  # several GPUs would split a step of one item
        trainer = _Quiet(
            model=model,
            args=arguments,
            train_dataset=_Steps(examples, steps),
            data_collator=_collate,
            callbacks=[_Watch(on_step)],
        )
        trainer.train()
    history = trainer.state.log_history
    return [float(entry["loss"]) for entry in history if "loss" in entry]


class _Quiet(Trainer):
    """The trainer, which would print every logged loss."""

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        self.state.log_history.append({**logs, "step": self.state.global_step})


def _collate(items: list[list[Encoded]]) -> dict[str, Tensor]:
    """(B, T) ids, mask and labels of one step, padded on the right."""
    examples = [example for item in items for example in item]
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


def _with_lora(model: Any, rank: int, seed: int) -> Any:
    require_extra("train", "training by LoRA", "peft")
    import peft

    torch.manual_seed(seed)
    config = peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return peft.get_peft_model(model, config)
