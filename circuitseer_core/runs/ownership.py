"""Which runs were made on this machine: a run from elsewhere is read, and nothing is started in it.

Two things carry a seal made with a key that never leaves this machine and user: the folder of a
run that was made here, and the steps of a job that was given here (job_steps). The folder's seal
is over its inode, which a rename keeps and a copy or an unpacked archive does not have; so for the
app a run that went to somebody else and came back is foreign too. Whoever has read a foreign run
may adopt it; that it was not made here stays known, since its times are another machine's.

Who types a stage has named the run: only one that carries the mark of another machine is refused
there. The mark's second line, which a copy keeps, says with which key the run was made. A run of
before there were marks has none, and goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import shlex
from collections.abc import Callable
from pathlib import Path

from circuitseer_core.errors import UserError
from circuitseer_core.files import cache_home, write_text
from circuitseer_core.installation import program

MARK = ".owner"
_KEY_BYTES = 32


def seal(text: str) -> str | None:
    """HMAC-SHA256 of ``text`` under this machine's key; None where no key can be kept."""
    try:
        return hmac.new(_key(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    except OSError:
        return None


def is_sealed(text: str, mark: str | None) -> bool:
    """Whether ``mark`` is this machine's seal on ``text``."""
    own = seal(text)
    if mark is None or own is None:
        return False
    return hmac.compare_digest(own.encode(), mark.encode("utf-8", "surrogatepass"))


def mark(run_path: Path, *, made_here: bool = True) -> None:
    """Note that the run was made here, or adopted. Where no note can be kept it stays foreign."""
    own = seal(_folder(run_path) if made_here else _adopted(run_path))
    number = secrets.token_hex(16)
    if own is not None:
        with contextlib.suppress(OSError):
            write_text(run_path / MARK, f"{own}\n{number} {seal(_origin(number))}\n")


def is_own(run_path: Path) -> bool:
    """Whether the run was made here, or adopted."""
    return is_made_here(run_path) or _is_marked(run_path, _adopted)


def is_made_here(run_path: Path) -> bool:
    """Whether the run was made here, so that its times are this machine's."""
    return _is_marked(run_path, _folder)


def _is_marked(run_path: Path, text: Callable[[Path], str]) -> bool:
    lines = _marked(run_path)
    return bool(lines) and is_sealed(text(run_path), lines[0])


def is_foreign(run_path: Path) -> bool:
    """Whether the run carries a mark, and neither it nor what it was copied from was made here."""
    if not os.path.lexists(run_path / MARK) or is_own(run_path):
        return False
    number, _, sealed = "".join(_marked(run_path)[1:2]).partition(" ")
    return not is_sealed(_origin(number), sealed)


def _marked(run_path: Path) -> list[str]:
    """The lines of the run's mark; none where it has none that can be read."""
    try:
        if not (run_path / MARK).is_file():
            return []
        return (run_path / MARK).read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []


def adopt(run_path: Path) -> None:
    """Take a foreign run over, so that jobs may be started in it.

    Raises UserError where it holds a link, or a file with another name elsewhere (a hard link), by
    which a job would write outside of the folder, or where no note can be kept.
    """
    for path in sorted(run_path.rglob("*")):
        if path.is_symlink():
            raise UserError(f"{path} is a link out of the run: remove it before you adopt the run")
        if path.is_file() and path.stat().st_nlink > 1:
            raise UserError(
                f"{path} has another name elsewhere (a hard link): adopt a copy of the run, made "
                "by cp -r"
            )
    if not is_own(run_path):
        mark(run_path, made_here=False)
    if not is_own(run_path):
        raise UserError(f"{run_path.name} cannot be adopted: no key can be kept in {_key_file()}")


def require_own(run_path: Path) -> None:
    """Raise UserError where the run was neither made here nor adopted."""
    if not is_own(run_path):
        raise UserError(
            f"{run_path.name} was not made on this machine: look at it, then adopt it to start "
            "jobs in it"
        )


def require_writable(run_path: Path) -> None:
    """Raise UserError where the run carries another machine's mark and was not adopted."""
    if is_foreign(run_path):
        raise UserError(
            f"{run_path} was not made on this machine, and nothing is written into it: look at it, "
            f"then adopt it: {shlex.join([*program(), 'adopt', str(run_path)])}"
        )


def _origin(number: str) -> str:
    return f"made here\0{number}"


def _folder(run_path: Path) -> str:
    return f"run\0{run_path.stat().st_ino}"


def _adopted(run_path: Path) -> str:
    return f"adopted\0{run_path.stat().st_ino}"


def _key_file() -> Path:
    """``$CIRCUITSEER_KEY``, else job.key in the cache folder."""
    named = os.environ.get("CIRCUITSEER_KEY")
    return Path(named) if named else cache_home() / "job.key"


def _key() -> bytes:
    """The key of this machine and user, made on first use, readable by its owner alone."""
    path = _key_file()
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
