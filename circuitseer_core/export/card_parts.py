"""What the card of a selection and that of a whole pool have in common."""

from __future__ import annotations

import json
from collections.abc import Sequence

from huggingface_hub import DatasetCardData

from circuitseer_core.export.formats import SHAPED
from circuitseer_core.export.manifest import AnyManifest, ExportDetails
from circuitseer_core.export.shapes import (
    OWN_COLUMNS,
    axolotl_yaml,
    registry_entry,
    registry_name,
)
from circuitseer_core.markdown import code, fenced, inline
from circuitseer_core.runs.commands import as_typed
from circuitseer_core.runs.records import ModelRecord
from circuitseer_core.wording import count

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def marker(file_name: str) -> str:
    """The line by which a card is known as ours and as this file's, so that it may be replaced."""
    shown = file_name.replace(">", "&gt;")  # else it could end the comment
    return f"<!-- circuitseer card of {shown} -->"


def front_matter(rows: int, title: str, data_files: str) -> str:
    """The Hub's metadata block, between its dashes.

    ``data_files``: the pattern of data files for the Hub's viewer, relative to the card.
    """
    size = next((name for limit, name in _SIZES if rows < limit), "n>1M")
    data = DatasetCardData(
        pretty_name=title,
        task_categories=["text-generation"],
        size_categories=[size],
        tags=["circuitseer", "data-selection", "reasoning"],
        configs=[
            {"config_name": "default", "data_files": [{"split": "train", "path": data_files}]}
        ],
    )
    return f"---\n{data.to_yaml()}\n---"


def model_name(model: ModelRecord | None) -> str:
    """The reference model, as code."""
    if model is None:
        return "an unknown model"
    return code(model.called) + (f" (revision {code(model.revision)})" if model.revision else "")


def other_columns(export: ExportDetails) -> list[str]:
    """Sentences about what became of the original columns, and of rows without a response."""
    lines = []
    if export.columns_as_json:
        named = ", ".join(map(code, export.columns_as_json))
        lines.append(f"Stored as JSON text, since their types differ between rows: {named}.")
    if export.safe_cells:
        lines.append(
            "A text that begins with `=`, `+`, `-` or `@` has an apostrophe before it, so that no "
            "spreadsheet runs it."
        )
    if export.silent:
        lines.append(f"{count(export.silent, 'row')} of the draw without a response left out.")
    if export.left_out:
        named = ", ".join(f"{code(name)} ({inline(why)})" for name, why in export.left_out.items())
        own = "`, `".join(sorted(OWN_COLUMNS[export.format] - {"history"}))
        lines.append(f"Left out beside `{own}`: {named}.")
    return lines


def reproduce(manifest: AnyManifest, file_name: str) -> str:
    """The commands that make the export again, and the one that verifies it."""
    commands = "\n".join(manifest.commands)
    verify = "\n" + as_typed(["verify", file_name])
    return (
        f"## Reproduce\n\n{fenced(commands + verify)}\n\n"
        "The manifest beside the data holds model, heads, settings, data fingerprints and hashes."
    )


def trainers(form: str, file_name: str) -> list[str]:
    """How trainers read the file; nothing for a format that is no trainer's."""
    if form not in SHAPED:
        return []
    entry = json.dumps({registry_name(form, file_name): registry_entry(form, file_name)}, indent=2)
    trl = {
        "messages": "TRL: `SFTTrainer` takes the rows as they are.\n\n",
        "prompt-completion": (
            "TRL: `SFTTrainer` takes the rows as they are, joins prompt and completion as they "
            "stand, and learns from the completion.\n\n"
        ),
    }
    return [
        (
            f"## Train on it\n\n{trl.get(form, '')}"
            f"Axolotl:\n\n{fenced(axolotl_yaml(form, file_name).rstrip(), 'yaml')}\n\n"
            f"LLaMA-Factory, in `dataset_info.json`:\n\n{fenced(entry, 'json')}"
        )
    ]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
