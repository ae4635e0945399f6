"""From choices in a form to the command lines of the stages (docs/files.md).

Pure: what is started is exactly what a person would type, so the app can show it before the start
and a run's log says how to repeat it without the app.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DETECT_DEFAULTS: dict[str, Any] = {
    "probe_size": 300,
    "probe_pool": 2000,
    "probe_criterion": "loss",
    "mode": "exact",
    "rank_by": "importance",
    "template": "auto",
    "loss_tokens": "response",
    "ablation": "uniform",
    "epsilon": 0.0,
    "max_length": None,
    "dtype": "auto",
    "device": "auto",
    "seed": 0,
}
SCORE_DEFAULTS: dict[str, Any] = {
    "name": "default",
    "text": "prompt",
    "heads": "0.05",
    "rank_by": "importance",
    "baselines": False,
    "max_length": None,
    "dtype": "auto",
    "device": "auto",
}
SELECT_DEFAULTS: dict[str, Any] = {
    "name": "default",
    "scores": "default",
    "scorer": "variance",
    "fraction": 0.1,
    "temperature": 1.0,
    "length_control": "none",
    "seed": 0,
}
FIELD_DEFAULTS: dict[str, Any] = dict.fromkeys(
    ("prompt_field", "response_field", "source_field", "id_field")
)


def detect_step(
    run: Path, model: str, probe: Sequence[str], contrast: Sequence[str] = (), **options: Any
) -> list[str]:
    """Arguments of ``detect``; options equal to their default are left out."""
    step = ["detect", "--run", str(run), "--model", model]
    for flag, specs in (("--probe", probe), ("--contrast", contrast)):
        for spec in specs:
            step += [flag, spec]
    return step + _flags(options, DETECT_DEFAULTS | FIELD_DEFAULTS)


def score_step(run: Path, data: Sequence[str], **options: Any) -> list[str]:
    """Arguments of ``score``."""
    step = ["score", "--run", str(run)]
    for spec in data:
        step += ["--data", spec]
    return step + _flags(options, SCORE_DEFAULTS | FIELD_DEFAULTS)


def select_step(run: Path, **options: Any) -> list[str]:
    """Arguments of ``select``; the budget is always spelled out."""
    fraction = options.pop("fraction", SELECT_DEFAULTS["fraction"])
    step = ["select", "--run", str(run), "--fraction", _plain(fraction)]
    return step + _flags(options, SELECT_DEFAULTS)


def as_typed(step: Sequence[str]) -> str:
    """A step as one would type it in a shell."""
    return shlex.join(["python", "-m", "circuitseer_core", *step])


def _flags(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    unknown = set(options) - set(defaults)
    if unknown:
        raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
    flags: list[str] = []
    for name, value in options.items():
        if value == defaults[name] or value in (None, ""):
            continue
        flag = "--" + name.replace("_", "-")
        flags += [flag] if value is True else [flag, _plain(value)]
    return flags


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
