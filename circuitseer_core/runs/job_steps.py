"""The steps of a job as data: what of a run folder may become a command, and whose words it is.

A run folder may come from anybody. So job.json names no program; a step is one of three stages
with options, which the stage's settings class checks; its ``--run`` is always the folder it lies
in; and the words carry a seal made with a key that never leaves this machine, without which they
are shown but not run until someone who read them adopts them.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from circuitseer_core.errors import UserError
from circuitseer_core.files import cache_home

STAGES = ("detect", "score", "select")
"""What a background job may do."""

_KEY_BYTES = 32


def rebuilt(steps: Iterable[Sequence[str]], run_path: Path) -> list[list[str]]:
    """The steps, bound to ``run_path``. Raises UserError for anything that is no stage."""
    return [_bound(list(step), run_path) for step in steps]


def sealed(steps: Sequence[Sequence[str]]) -> str | None:
    """This machine's seal on ``steps``: HMAC-SHA256 of what they do, wherever the run lies.

    None where no key can be kept: such jobs have to be adopted to go on.
    """
    words = [_options(list(step)) for step in steps]
    text = json.dumps(words, ensure_ascii=True).encode()
    try:
        return hmac.new(_key(), text, hashlib.sha256).hexdigest()
    except OSError:
        return None


def is_ours(steps: Sequence[Sequence[str]], seal: str | None) -> bool:
    """Whether ``steps`` were given to a job on this machine."""
    own = sealed(steps)
    if seal is None or own is None:
        return False
    return hmac.compare_digest(own.encode(), seal.encode())


def _bound(step: list[str], run_path: Path) -> list[str]:
    if not step or step[0] not in STAGES:
        named = step[0] if step else "nothing"
        raise UserError(f"{named!r} is no stage of a job: there are {', '.join(STAGES)}")
    if any("\0" in word for word in step):
        raise UserError("a job's options hold a null character")
    return [step[0], "--run", str(run_path), *_options(step)[1:]]


def _options(step: list[str]) -> list[str]:
    """The words of a step without the run they were meant for."""
    kept: list[str] = []
    words = iter(step)
    for word in words:
        if word == "--run":
            next(words, None)
        elif not word.startswith("--run="):
            kept.append(word)
    return kept


def _key() -> bytes:
    """The key of this machine and user, made on first use, readable by its owner alone."""
    path = cache_home() / "job.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(2):
        with contextlib.suppress(FileNotFoundError):
            key = path.read_bytes()
            if len(key) == _KEY_BYTES:
                return key
            path.unlink()
        # Written aside and linked: of two makers at once one wins, and both read the same.
        aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
        aside.unlink()
    return path.read_bytes()
