"""CircuitSeer: find a model's reasoning heads, score every sample by them, draw the subset.

The verbs of the command line, for a notebook::

    import circuitseer_core as cs

    run = cs.detect("runs/mine", model="demo", probe="demo")    # stage 1: head importance
    scores = cs.score("runs/mine", data="train.parquet")        # stage 2: a score a sample
    kept = cs.select(scores, fraction=0.1)                      # stage 3: the subset
    run = cs.load_run("runs/mine")                              # a run made before

They load what they need when called: importing this package, opening a run and selecting need
neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circuitseer_core.api import detect, load_run, score
    from circuitseer_core.selection.select import select

__version__ = "0.1.0"
__all__ = ["detect", "load_run", "score", "select"]

_HOME = {
    "detect": "circuitseer_core.api",
    "score": "circuitseer_core.api",
    "load_run": "circuitseer_core.api",
    "select": "circuitseer_core.selection.select",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__all__", "__doc__", "__version__"]
