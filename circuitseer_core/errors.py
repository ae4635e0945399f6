"""The one exception a person is meant to read."""

from __future__ import annotations

import errno
import re

MACHINE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
}
"""What the machine may refuse (space, rights, handles, a name): no fault of the program."""

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class UserError(Exception):
    """A failure the user can mend: its message is one clear line, shown without a traceback.

    Messages quote names from data. Line breaks, control characters (which a terminal would obey)
    and halves of surrogate pairs in them become a space.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(str(message)))


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
