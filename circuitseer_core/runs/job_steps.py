"""The steps of a job as data: what of a run folder may become a command, and whose words it is.

A run folder may come from anybody. So job.json names no program; a step is one of six stages with
options, which the stage's settings class checks, or ``validate`` with one experiment and nothing
but its ``--set NAME=VALUE`` options, which the experiment checks, or ``arms``, whose ``--out`` is a
folder in the run's own ``arms``; its ``--run`` is always the folder it lies in; and the words carry
a seal made with a key that never leaves this machine, without which they are shown but not run
until someone who read them adopts them. What may run code that came with the folder is not to be
adopted at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from circuitseer_core.errors import UserError
from circuitseer_core.runs import ownership
from circuitseer_core.runs.commands import FOLDER_NAME
from circuitseer_core.runs.folder import ARMS_FOLDER

STAGES = ("detect", "score", "calibrate", "cluster", "import-scores", "select", "validate", "arms")
"""What a background job may do."""

_MAY_RUN_CODE = ("--allow-pickle", "--ray-address")
"""Options by which files, or a machine, that somebody else names could run code here."""
_NAME = re.compile(FOLDER_NAME)
_EXPERIMENT = re.compile(r"[a-z][a-z0-9-]{0,40}")
_OPTION = re.compile(r"[a-z][a-z0-9_]{0,40}=.*", re.DOTALL)


def rebuilt(steps: Iterable[Sequence[str]], run_path: Path) -> list[list[str]]:
    """The steps, bound to ``run_path``. Raises UserError for anything that is no stage."""
    return [_bound(list(step), run_path) for step in steps]


def require_harmless(steps: Iterable[Sequence[str]]) -> None:
    """Raise UserError where steps that somebody else wrote ask for what may run code."""
    for step in steps:
        asked = next((word for word in step if word.partition("=")[0] in _MAY_RUN_CODE), None)
        if asked is not None:
            raise UserError(
                f"the job asks for {asked.partition('=')[0]}, which may run code that somebody "
                f"else wrote: type the command {step[0]} yourself if you trust it"
            )


def sealed(steps: Sequence[Sequence[str]]) -> str | None:
    """This machine's seal on ``steps``: HMAC-SHA256 of what they do, wherever the run lies.

    None where no key can be kept: such jobs have to be adopted to go on.
    """
    return ownership.seal(_text(steps))


def is_ours(steps: Sequence[Sequence[str]], seal: str | None) -> bool:
    """Whether ``steps`` were given to a job on this machine."""
    return ownership.is_sealed(_text(steps), seal)


def _text(steps: Sequence[Sequence[str]]) -> str:
    return json.dumps([_options(list(step)) for step in steps], ensure_ascii=True)


def _bound(step: list[str], run_path: Path) -> list[str]:
    if not step or step[0] not in STAGES:
        named = step[0] if step else "nothing"
        raise UserError(f"{named!r} is no stage of a job: there are {', '.join(STAGES)}")
    if any("\0" in word for word in step):
        raise UserError("a job's options hold a null character")
    words = _options(step)[1:]
    if any(word == "--config" or word.startswith("--config=") for word in words):
        raise UserError("a job names its options itself: it takes no --config")
    if step[0] == "validate":
        _check_experiment(words)
    if step[0] == "arms":
        words = _arms_inside(words, run_path)
    return [step[0], "--run", str(run_path), *words]


def _check_experiment(words: list[str]) -> None:
    """Raise UserError for anything but one experiment's name and ``--set NAME=VALUE`` pairs."""
    name, rest = (words or [""])[0], words[1:]
    pairs = list(zip(rest[::2], rest[1::2], strict=False))
    fine = all(flag == "--set" and _OPTION.fullmatch(pair) for flag, pair in pairs)
    if not _EXPERIMENT.fullmatch(name) or len(rest) % 2 or not fine:
        raise UserError("a job's validate takes one experiment and --set NAME=VALUE options alone")


def _arms_inside(words: list[str], run_path: Path) -> list[str]:
    """The words with ``--out`` bound to the run's own folder of arms: a step says its name alone.

    A job's step is bound anew wherever the run lies, so what was bound before is a name again.
    """
    rest, names = _without("--out", words)
    name = Path(names[0]).name if len(names) == 1 else ""
    if not _NAME.fullmatch(name):
        raise UserError("a job's arms need one --out NAME: a folder in the run's own arms")
    return [*rest, "--out", str(run_path / ARMS_FOLDER / name)]


def _options(step: list[str]) -> list[str]:
    """The words of a step without the places that it was meant for: what its seal is over."""
    words, _ = _without("--run", step)
    if words[:1] == ["arms"]:
        words, outs = _without("--out", words)
        words += [f"--out={Path(out).name}" for out in outs]
    return words


def _without(flag: str, words: list[str]) -> tuple[list[str], list[str]]:
    """The words without an option, and the values that it had."""
    kept: list[str] = []
    values: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == flag:
            values += [value for value in [next(rest, None)] if value is not None]
        elif word.startswith(f"{flag}="):
            values.append(word.partition("=")[2])
        else:
            kept.append(word)
    return kept, values
