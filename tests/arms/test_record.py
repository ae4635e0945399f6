"""arms.json as typed settings: what another version wrote is read, kept and written back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from circuitseer_core.arms.record import ARMS_FILE, ArmsOptions, read_arms
from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.errors import UserError


def written(folder: Path, settings: dict[str, Any], **more: Any) -> Path:
    record = {
        "format": 1, "run": "r", "settings": settings, "budget": {"tokens": 5}, "pool_rows": 9,
        "pool_tokens": 9, "arms": [],
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / ARMS_FILE).write_text(json.dumps(record | more), encoding="utf-8")
    return folder


def test_settings_are_those_of_the_command(tmp_path: Path) -> None:
    asked = ArmsSettings(share="10%", seeds=2, arms=("soft", "uniform"), exclude=("a.txt",))
    kept = ArmsOptions(**asked.model_dump())
    assert kept.to_json() == asked.model_dump(mode="json")
    read = read_arms(written(tmp_path / "arms", kept.to_json())).settings
    assert (read.share, read.seeds, read.arms) == (0.1, 2, ("soft", "uniform"))


def test_another_versions_settings_are_kept(tmp_path: Path) -> None:
    folder = written(tmp_path / "arms", {"scorer": "focus", "later": 3}, further=True)
    record = read_arms(folder)
    assert record.settings.scorer == "focus" and record.settings.seeds == 3, "the default"
    record.write(folder / ARMS_FILE)
    again = json.loads((folder / ARMS_FILE).read_text())
    assert again["settings"] == {"scorer": "focus", "later": 3} and again["further"] is True


def test_a_draw_by_chance_alone_is_kept_and_read_as_it_was_written_before(tmp_path: Path) -> None:
    kept = ArmsOptions(**ArmsSettings(temperature=math.inf).model_dump()).to_json()
    for folder, temperature in (("new", kept["temperature"]), ("old", None)):
        written(tmp_path / folder, {"temperature": temperature})
        assert read_arms(tmp_path / folder).settings.temperature == math.inf


def test_a_setting_of_a_wrong_type_is_one_line(tmp_path: Path) -> None:
    folder = written(tmp_path / "arms", {"seeds": "many"})
    with pytest.raises(UserError, match="arms.json cannot be read: settings.seeds"):
        read_arms(folder)
