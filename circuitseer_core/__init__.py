"""CircuitSeer: find a model's reasoning heads, score every sample by them, draw the subset.

The verbs, in the order of a study::

    import circuitseer_core as cs

    run = cs.detect("runs/mine", model="demo", probe="demo")    # stage 1: head importance
    run = cs.load_run("runs/mine")                              # a run made before
    scores = cs.score(run, data="train.parquet")                # stage 2: a score a sample
    kept = cs.select(run, fraction=0.1, save="tenth")           # stage 3: the subset, kept
    cs.save_selection(run, kept, "mine")                        # or kept later, from the frame
    cs.export(run, "tenth.jsonl", selection="tenth")            # out, with manifest and card
    cs.verify("tenth.jsonl")                                    # does it follow from the run

    run, run.summary(), run.warnings()                          # what is there, what to distrust
    run.figure("heads")                                         # one of run.figures
    cs.validate(run, "length")                                  # a validation experiment
    cs.calibrate(run, target="level")                           # heads fitted to a difficulty
    cs.cluster(run)                                             # prompts by kind, to share a draw
    cs.import_scores(run, "rewards.jsonl")                      # scores that were made elsewhere
    cs.ablate(run, [(18, 8), (7, 2)], data="train.parquet")     # the loss without several heads
    cs.inspect(run, "gsm8k/17", heads=[(18, 8)])                # one sample's attention
    cs.survey("train.parquet")                                  # what would be read of it
    cs.arms(run, "arms", share=0.1)                             # the subsets a draw has to beat
    cs.report(run, "mine.html")                                 # all of it in one page
    cs.adopt("from/elsewhere")                                  # to write into another's run
    cs.push_heads(run, "me/heads"); cs.pull_heads("me/heads")   # a head map on the Hub

A failure that a person can mend is a ``UserError`` of one line. The verbs load what they need when
called: importing this package, opening a run and selecting need neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circuitseer_core.api import (
        ablate,
        adopt,
        arms,
        calibrate,
        cluster,
        detect,
        export,
        import_scores,
        inspect,
        load_run,
        pull_heads,
        push_heads,
        report,
        save_selection,
        score,
        select,
        survey,
        validate,
        verify,
    )
    from circuitseer_core.errors import UserError
    from circuitseer_core.notebook.run import NotebookRun as Run

__version__ = "0.1.0"
__all__ = [  # noqa: RUF022 (the verbs first, in the order of a study)
    "detect", "score", "select", "save_selection", "export", "verify",
    "validate", "calibrate", "report", "inspect", "ablate", "import_scores", "cluster",
    "arms", "survey", "adopt",
    "push_heads", "pull_heads", "load_run", "Run", "UserError",
]  # fmt: skip

_ELSEWHERE = {
    "Run": ("circuitseer_core.notebook.run", "NotebookRun"),
    "UserError": ("circuitseer_core.errors", "UserError"),
}

# Three verbs are called as packages are. A package becomes an attribute of its parent when it is
# first loaded; loaded here and forgotten, it cannot take the verb's place later.
for _name in ("arms", "export", "report"):
    import_module(f"{__name__}.{_name}")
    globals().pop(_name, None)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _ELSEWHERE.get(name, ("circuitseer_core.api", name))
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return [*__all__, "__all__", "__doc__", "__version__"]
