"""Settings files with which known trainers run every arm alike: TRL, Axolotl, LLaMA-Factory.

All arms get the same number of optimiser steps: as many as the arm with the most rows needs for
one epoch (the full pool aside, which would set everyone's). Nothing else differs between the files
of two arms but the data, the seed and the output folder. Between trainers more does, which the
files say: compare arms within one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from circuitseer_core.arms.record import ArmRecord, ArmsRecord
from circuitseer_core.export.chat import llama_factory_entry
from circuitseer_core.files import write_json, write_text

ROWS_A_STEP = 16
_ROWS_AT_ONCE = 4
_LONGEST = 4096
"""Tokens of a row."""
LEARNING_RATE = 1e-5
"""A place to start: choose it once, on data that no arm is judged on."""


def write_trainer_settings(folder: Path, record: ArmsRecord, model: str) -> None:
    """``folder/trl``, ``/axolotl`` and ``/llama-factory``: one YAML file an arm, and the registry
    ``dataset_info.json`` of the last."""
    steps = optimiser_steps(record)
    for arm in record.arms:
        for trainer, settings in (
            ("trl", _trl(arm, model, steps)),
            ("axolotl", _axolotl(arm, model, steps)),
            ("llama-factory", _llama_factory(arm, model, steps)),
        ):
            text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
            head = _HEAD.format(steps=steps) + _NOTES.get(trainer, "")
            write_text(folder / trainer / f"{arm.label}.yaml", head + text)
    entries = {arm.label: llama_factory_entry(f"../{arm.file}") for arm in record.arms}
    write_json(folder / "llama-factory" / "dataset_info.json", entries)


def optimiser_steps(record: ArmsRecord) -> int:
    """Steps of 16 rows that show the largest arm once."""
    rows = [arm.rows for arm in record.arms if arm.kind != "full"] or [
        arm.rows for arm in record.arms
    ]
    return -(-max(rows) // ROWS_A_STEP)


_HEAD = (
    "# The same {steps} optimiser steps for every arm; run from the folder of this file.\n"
    "# The learning rate is a place to start: choose it once, on data no arm is judged on.\n"
)


_NOTES = {
    "trl": "# The loss counts the prompt's tokens too: assistant_only_loss needs a chat template\n"
    "# that marks what the assistant says. The other two trainers count responses alone.\n",
    "llama-factory": "# template: put the name that LLaMA-Factory has for this model's own here.\n",
}
"""Where a file is not what one would take it for."""


def _warmup(steps: int) -> int:
    return max(1, steps // 20)


def _trl(arm: ArmRecord, model: str, steps: int) -> dict[str, Any]:
    """For ``trl sft --config FILE``."""
    return {
        "model_name_or_path": model,
        "datasets": [
            {"path": "json", "data_files": {"train": f"../{arm.file}"}, "columns": ["messages"]}
        ],
        "assistant_only_loss": False,
        **_transformers(arm, steps),
    }


def _axolotl(arm: ArmRecord, model: str, steps: int) -> dict[str, Any]:
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
        "max_steps": steps,
        "micro_batch_size": _ROWS_AT_ONCE,
        "gradient_accumulation_steps": ROWS_A_STEP // _ROWS_AT_ONCE,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler": "cosine",
        "optimizer": "adamw_torch",
        "warmup_steps": _warmup(steps),
        "seed": arm.seed,
        "output_dir": f"out/{arm.label}",
    }


def _llama_factory(arm: ArmRecord, model: str, steps: int) -> dict[str, Any]:
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
        **_transformers(arm, steps),
    }


def _transformers(arm: ArmRecord, steps: int) -> dict[str, Any]:
    """What TRL and LLaMA-Factory both hand on to Transformers' Trainer."""
    return {
        "max_steps": steps,
        "per_device_train_batch_size": _ROWS_AT_ONCE,
        "gradient_accumulation_steps": ROWS_A_STEP // _ROWS_AT_ONCE,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "cosine",
        "warmup_steps": _warmup(steps),
        "seed": arm.seed,
        "output_dir": f"out/{arm.label}",
    }
