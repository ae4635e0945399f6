"""Settings files with which known trainers run every arm alike: TRL, Axolotl, LLaMA-Factory.

With a budget of tokens every arm is trained on about as many tokens, in steps of about as many: an
arm of long texts takes fewer of them a step. A step holds what 16 uniformly drawn rows do. With a
budget of rows every step has 16, whatever their tokens. The full pool is shown once. Nothing else
differs between the files of two arms but the data, the seed and the output folder. Between trainers
more does, which the files say: compare arms within one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from circuitseer_core.arms.record import ArmRecord, ArmsRecord
from circuitseer_core.export.chat import llama_factory_entry
from circuitseer_core.files import write_json, write_text
from circuitseer_core.wording import count

ROWS_A_STEP = 16
"""Of uniformly drawn rows."""
_MOST_AT_ONCE = 4
"""Rows in memory together."""
_LONGEST = 4096
"""Tokens of a row."""
LEARNING_RATE = 1e-5
"""A place to start: choose it once, on data that no arm is judged on."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How an arm is trained: ``steps`` steps of ``rows`` rows, about ``tokens`` in all."""

    steps: int
    rows: int
    tokens: int

    @property
    def at_once(self) -> int:
        """Rows of a forward pass: as many as divide a step, at most 4."""
        return max(n for n in range(1, _MOST_AT_ONCE + 1) if self.rows % n == 0)

    @property
    def warmup(self) -> int:
        """Steps over which the learning rate rises."""
        return max(1, self.steps // 20)


def schedule(record: ArmsRecord, arm: ArmRecord) -> Schedule:
    """The steps of one arm; tokens are prompt and response as the arms' budget counts them."""
    mean = max(arm.mean_tokens, 1.0)
    budget = record.budget.get("tokens")
    if budget is None:
        rows, steps = ROWS_A_STEP, -(-arm.rows // ROWS_A_STEP)
    else:
        rows = max(1, round(ROWS_A_STEP * _usual_tokens(record) / mean))
        steps = max(1, round((arm.tokens if arm.kind == "full" else budget) / (rows * mean)))
    return Schedule(steps, rows, round(steps * rows * mean))


def _usual_tokens(record: ArmsRecord) -> float:
    """Mean tokens of a uniformly drawn row; of the pool's where there is no such arm."""
    uniform = [arm for arm in record.arms if arm.kind == "uniform"]
    rows = sum(arm.rows for arm in uniform)
    if rows:
        return max(1.0, sum(arm.tokens for arm in uniform) / rows)
    return max(1.0, record.pool_tokens / max(1, record.pool_rows))


def write_trainer_settings(folder: Path, record: ArmsRecord, model: str) -> None:
    """``folder/trl``, ``/axolotl`` and ``/llama-factory``: one YAML file an arm, and the registry
    ``dataset_info.json`` of the last."""
    for arm in record.arms:
        plan = schedule(record, arm)
        for trainer, settings in (
            ("trl", _trl(arm, model, plan)),
            ("axolotl", _axolotl(arm, model, plan)),
            ("llama-factory", _llama_factory(arm, model, plan)),
        ):
            text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
            head = _head(plan, record) + _NOTES.get(trainer, "")
            write_text(folder / trainer / f"{arm.label}.yaml", head + text)
    entries = {arm.label: llama_factory_entry(f"../{arm.file}") for arm in record.arms}
    write_json(folder / "llama-factory" / "dataset_info.json", entries)


def _head(plan: Schedule, record: ArmsRecord) -> str:
    """What this file will train on, and what is yet to be chosen."""
    alike = (
        "about as many for every arm but full"
        if "tokens" in record.budget
        else ("not the same for every arm: the budget was of rows")
    )
    steps, rows = count(plan.steps, "optimiser step"), count(plan.rows, "row")
    tokens = count(plan.tokens, "token")
    return (
        f"# About {tokens} ({steps} of {rows}), {alike}.\n"
        f"# Counted by the scored model's tokenizer, before any cut at {_LONGEST}.\n"
        "# Run from the folder of this file.\n"
        "# The learning rate is a place to start: choose it once, on data no arm is judged on.\n"
    )


_LORA = "# All weights are trained. For LoRA, alike in the file of every arm:\n# {}\n"
_NOTES = {
    "trl": "# The loss counts the prompt's tokens too: assistant_only_loss needs a chat template\n"
    "# that marks what the assistant says. The other two trainers count responses alone.\n"
    + _LORA.format(
        "use_peft: true\n# lora_r: 16\n# lora_alpha: 32\n# lora_target_modules: [all-linear]"
    ),
    "axolotl": _LORA.format(
        "adapter: lora\n# lora_r: 16\n# lora_alpha: 32\n# lora_target_linear: true"
    ),
    "llama-factory": "# template: put the name that LLaMA-Factory has for this model's own here.\n"
    + _LORA.format(
        "finetuning_type: lora  # in place of full\n# lora_rank: 16\n# lora_alpha: 32\n"
        "# lora_target: all"
    ),
}
"""Where a file is not what one would take it for."""


def _trl(arm: ArmRecord, model: str, plan: Schedule) -> dict[str, Any]:
    """For ``trl sft --config FILE``."""
    return {
        "model_name_or_path": model,
        "datasets": [
            {"path": "json", "data_files": {"train": f"../{arm.file}"}, "columns": ["messages"]}
        ],
        "assistant_only_loss": False,
        "max_length": _LONGEST,  # TRL's own default, 1024, would cut the arms of long texts
        **_transformers(arm, plan),
    }


def _axolotl(arm: ArmRecord, model: str, plan: Schedule) -> dict[str, Any]:
    """For ``axolotl train FILE``."""
    return {
        "base_model": model,
        "datasets": [
            {
                "path": f"../{arm.file}",
                "ds_type": "json",
                "type": "chat_template",
                "field_messages": "messages",
                "roles_to_train": ["assistant"],
            }
        ],
        "sequence_len": _LONGEST,
        "max_steps": plan.steps,
        "micro_batch_size": plan.at_once,
        "gradient_accumulation_steps": plan.rows // plan.at_once,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler": "cosine",
        "optimizer": "adamw_torch",
        "warmup_steps": plan.warmup,
        "seed": arm.seed,
        "output_dir": f"out/{arm.label}",
    }


def _llama_factory(arm: ArmRecord, model: str, plan: Schedule) -> dict[str, Any]:
    """For ``llamafactory-cli train FILE``; the registry lies beside it."""
    return {
        "model_name_or_path": model,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full",
        "dataset": arm.label,
        "dataset_dir": ".",
        "template": "default",
        "cutoff_len": _LONGEST,
        **_transformers(arm, plan),
    }


def _transformers(arm: ArmRecord, plan: Schedule) -> dict[str, Any]:
    """What TRL and LLaMA-Factory both hand on to Transformers' Trainer."""
    return {
        "max_steps": plan.steps,
        "per_device_train_batch_size": plan.at_once,
        "gradient_accumulation_steps": plan.rows // plan.at_once,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "cosine",
        "warmup_steps": plan.warmup,
        "seed": arm.seed,
        "output_dir": f"out/{arm.label}",
    }
