"""The one exception a person is meant to read."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from functools import partial
from typing import Self

MACHINE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
}
"""What the machine may refuse (space, rights, handles, a name): no fault of the program."""

_OPTION = re.compile(r"--([a-z][a-z-]*)( (?=[^ ]))?")
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class UserError(Exception):
    """A failure the user can mend: its message is one clear line, shown without a traceback.

    Messages quote names from data. Line breaks, control characters (which a terminal would obey)
    and halves of surrogate pairs in them become a space.

    Args:
        message: what is wrong; options in it are those of the command that it names.
        hint: what to do, put behind the message; options in it (``--max-length``) are those of
            whatever is running: many commands read data and load models, and not all have each.
    """

    def __init__(self, message: object = "", *, hint: str = "") -> None:
        self.message, self.hint = printable(str(message)), printable(hint)
        super().__init__(self.message + self.hint)

    def for_options(self, typed: Mapping[str, str]) -> Self:
        """The same to somebody who has these options alone.

        Args:
            typed: how an option is typed there, by name: ``{"max-length": "--max-length "}``. A
                hint with an option that is not among them is left out.
        """
        if not all(name in typed for name, _ in _OPTION.findall(self.hint)):
            return type(self)(self.message)
        return type(self)(self.message, hint=_OPTION.sub(partial(_as_typed, typed), self.hint))


def _as_typed(typed: Mapping[str, str], option: re.Match[str]) -> str:
    """An option of a hint as it is typed, with the value that follows it, or with none."""
    return typed[option[1]] if option[2] else typed[option[1]].rstrip(" =")


def printable(line: str) -> str:
    """One line of text as a terminal may get it: what it would obey or refuse becomes a space."""
    return UNPRINTABLE.sub(" ", line)


class LaterFormatError(UserError):
    """A file that a later version wrote, and that this one could only read wrongly."""


class Cancelled(Exception):
    """The user asked the run to stop; what is finished stays valid and a re-run goes on from it."""


def machine_line(error: OSError) -> str | None:
    """What the machine refused, in one line; None where it may be a fault of the program."""
    if error.errno not in MACHINE:
        return None
    where = str(error.filename or "")
    if len(where) > 200:
        where = f"{where[:100]} … {where[-60:]}"
    return str(UserError(f"{where}{': ' if where else ''}{error.strerror}"))


def one_line(error: BaseException) -> str:
    """The first line of an error from a library."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
