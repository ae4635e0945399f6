"""Fine-tune the target model on one arm with Transformers' Trainer, in full or by LoRA.

The loss is the cross-entropy of the response's tokens alone. The weights are put back before every
arm, so that arms differ in their data and their order only. A model is trained on one device: in
full it needs 16 bytes a parameter there (weights, gradients and AdamW's two moments in float32) and
4 in the machine's memory; by LoRA 2 on a GPU, where the weights lie in bf16, or 4 on a CPU, and 16
for a parameter of the adapters; and the activations of a step.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from circuitseer_core.errors import UserError
from circuitseer_core.installation import require_extra
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.memory import fitting, release
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.training.examples import Step
from circuitseer_core.training.trainer import (
    DeviceArguments,
    Steps,
    StepTrainer,
    Watch,
    step_parts,
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained. ``lora_rank`` 0 trains every weight; ``bf16`` is autocast."""

    learning_rate: float
    lora_rank: int = 0
    bf16: bool = False
    warmup_share: float = 0.05


class Diverged(UserError):
    """Training left the finite numbers."""


class Weights:
    """A copy of a model's weights, and of which are trained, to begin every arm from the same.

    The copy lies in the machine's memory, not the GPU's. With ``adapters`` there is none: training
    by LoRA leaves the weights as they are, and its adapters are taken out again.
    """

    def __init__(self, model: torch.nn.Module, *, adapters: bool = False) -> None:
        state = {} if adapters else model.state_dict()
        self.kept = {name: value.detach().to("cpu", copy=True) for name, value in state.items()}
        self.trained = [parameter.requires_grad for parameter in model.parameters()]

    def put_back(self, model: torch.nn.Module) -> None:
        """Undo training."""
        if self.kept:
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
        Diverged: a loss was not finite.
        UserError: LoRA is asked for and peft is not installed, or memory does not hold a step.
    """
    model = reference.model
    weights.put_back(model)
    trained = _with_lora(model, recipe.lora_rank, seed) if recipe.lora_rank else model
    try:
        losses = fitting(
            partial(_train, trained, reference.device, examples, steps, recipe, seed, on_step)
        )
        model.eval()
        if losses is None:
            release(reference.device)
            raise _too_large(examples, steps)
        if not all(map(math.isfinite, losses)):
            raise Diverged(f"training at learning rate {recipe.learning_rate:g} diverged")
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
        arguments = DeviceArguments(
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
            logging_nan_inf_filter=False,  # it would log a loss that is not finite as another
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=device.type == "cuda",
        )
        arguments.stay_on(device)
        trainer = StepTrainer(
            model=model,
            args=arguments,
            train_dataset=Steps(examples, steps),
            data_collator=step_parts,
            callbacks=[Watch(on_step)],
        )
        trainer.train()
    history = trainer.state.log_history
    return [float(entry["loss"]) for entry in history if "loss" in entry]


def _too_large(examples: Sequence[Encoded], steps: Sequence[Step]) -> UserError:
    """What to say where memory does not hold a step of these."""
    longest = max(examples[i].n_tokens for step in steps for i in step)
    return UserError(
        f"training on texts of up to {longest} tokens does not fit in memory: lower tokens_a_step "
        "or max_length, or train by LoRA (lora_rank)"
    )


def _with_lora(model: Any, rank: int, seed: int) -> Any:
    require_extra("train", "training by LoRA", "peft")
    import peft

    torch.manual_seed(seed)
    config = peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return peft.get_peft_model(model, config)
