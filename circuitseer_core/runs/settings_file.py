"""settings.yaml: a stage's settings beside what it made, to be run again with ``--config``.

Every option that has a value is spelled out, so that the file says the same under another version's
defaults. The command line reads it (cli/config.py); nothing that runs by itself does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from circuitseer_core.files import write_text
from circuitseer_core.runs.commands import as_typed, options
from circuitseer_core.runs.folder import SETTINGS_FILE


def write_settings(
    folder: Path,
    stage: str,
    run: Path,
    settings: BaseModel,
    *,
    place: Path | None = None,
    **further: Any,
) -> None:
    """Write ``folder/settings.yaml``: the command, the run, and every option that has a value.

    Args:
        place: where the folder will lie, if not there.
        further: options of the command that the settings class does not have.
    """
    path = folder / SETTINGS_FILE
    plain = settings.model_dump(mode="json")
    set_options = {name: plain[name] for name in options(type(settings)) if plain[name] is not None}
    entries = {"command": stage, "run": str(run), **further, **set_options}
    text = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=100)
    again = as_typed([stage, "--config", str((place or folder) / SETTINGS_FILE)])
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, f"# To run it again: {' '.join(again.split())}\n{text}")
