"""Rows in the columns that trainers ask for: chat messages, prompt and completion, Alpaca.

``messages`` is told in chat.py. ``prompt-completion`` are two texts, TRL's plain prompt-completion
type: the trainer joins them as they stand. ``alpaca`` is ``instruction``, ``input`` and ``output``,
where ``input`` is what the row itself had beside its instruction, else empty. In both a row's
``system`` text stands above the prompt, an empty line between, as in a scored chat.

What is neither the shape's own column nor read as something else by a trainer passes through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circuitseer_core.data.fields import EXTRA_NAMES
from circuitseer_core.export.chat import (
    RESERVED,
    entry_name,
    llama_factory_entry,
    system_text,
    to_messages,
)

OWN_COLUMNS: dict[str, frozenset[str]] = {
    "messages": frozenset({"messages"}),
    "prompt-completion": frozenset({"prompt", "completion"}),
    "alpaca": frozenset({"instruction", "input", "output", "history"}),
}


def reserved(form: str) -> frozenset[str]:
    """Columns of the original row that an export of this shape leaves out."""
    return RESERVED | OWN_COLUMNS[form]


def shape(
    form: str, original: Mapping[str, Any], prompt: str, response: str | None
) -> dict[str, Any]:
    """The shape's own columns of one row that has a response."""
    if form == "messages":
        return {"messages": to_messages(original, prompt, response)}
    system = system_text(original)
    above = f"{system}\n\n" if system and not prompt.startswith(system) else ""
    if form == "prompt-completion":
        return {"prompt": above + prompt, "completion": response}
    instruction, extra = _instruction_and_input(original, prompt)
    return {"instruction": above + instruction, "input": extra, "output": response}


def registry_entry(form: str, name: str) -> dict[str, Any]:
    """The entry for LLaMA-Factory's ``dataset_info.json`` that makes it read such a file."""
    if form == "messages":
        return llama_factory_entry(name)
    columns = {
        "prompt-completion": {"prompt": "prompt", "response": "completion"},
        "alpaca": {"prompt": "instruction", "query": "input", "response": "output"},
    }[form]
    return {"file_name": name, "formatting": "alpaca", "columns": columns}


def registry_name(form: str, name: str) -> str:
    """What such a file is called in that registry: shapes of one selection stand side by side."""
    stem = entry_name(name)
    return stem if form == "messages" else f"{stem}_{form.replace('-', '_')}"


def axolotl_yaml(form: str, name: str) -> str:
    """The ``datasets`` section of an Axolotl configuration that reads such a file."""
    head = f"datasets:\n  - path: {name}\n    ds_type: json\n"
    if form == "messages":
        return f"{head}    type: chat_template\n    field_messages: messages\n"
    if form == "alpaca":
        return f"{head}    type: alpaca\n"
    return (
        f"{head}    type:\n      field_instruction: prompt\n      field_output: completion\n"
        '      format: "{instruction}"\n      no_input_format: "{instruction}"\n'
    )


def _instruction_and_input(original: Mapping[str, Any], prompt: str) -> tuple[str, str]:
    """An instruction and its input apart, where the prompt was made of them; else all is one."""
    lower = {str(name).lower(): value for name, value in original.items()}
    instruction = lower.get("instruction")
    for name in EXTRA_NAMES:
        extra = lower.get(name)
        if (
            isinstance(instruction, str)
            and isinstance(extra, str)
            and extra.strip()
            and prompt == f"{instruction}\n{extra}"
        ):
            return instruction, extra
    return prompt, ""
