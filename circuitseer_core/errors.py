"""The one exception a person is meant to read."""


class UserError(Exception):
    """A failure the user can mend: its message is one clear line, shown without a traceback."""


class Cancelled(Exception):
    """The user asked the run to stop; what is finished stays valid and a re-run goes on from it."""
