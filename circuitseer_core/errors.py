"""The one exception a person is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """A failure the user can mend: its message is one clear line, shown without a traceback."""


class Cancelled(Exception):
    """The user asked the run to stop; what is finished stays valid and a re-run goes on from it."""


def one_line(error: BaseException) -> str:
    """The first line of an error from a library."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
