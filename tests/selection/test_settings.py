"""Settings of a selection."""

from __future__ import annotations

import json

from circuitseer_core.selection.settings import SelectionSettings
from tests.support.score_frames import INF


def test_settings_write_their_own_command() -> None:
    made = SelectionSettings.of(temperature=INF, exclude=("a b.txt",), review=False, count=5)
    command = made.command("runs/x")
    assert command.startswith("python -m circuitseer_core select --run runs/x --name default ")
    assert "--count 5 --temperature inf --exclude 'a b.txt'" in command
    assert command.endswith("--no-review --seed 0") and "--fraction" not in command
    assert SelectionSettings.of(**json.loads(json.dumps(made.model_dump(mode="json")))) == made
