"""What a notebook shows of a run: a few lines of HTML that take the notebook's own colours."""

from __future__ import annotations

from collections.abc import Sequence

from circuitseer_core.markup import Html, paragraph, tag
from circuitseer_core.runs.folder import Run
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.wording import listing

_QUIET = "opacity:.7"


def run_page(run: Run, words: str, signatures: Sequence[Signature]) -> str:
    """The run's name, its sentence, what warns (folded), and the names of what is in it.

    Args:
        words: the sentence.
        signatures: of the run.
    """
    warned = [signature for signature in signatures if signature.severity == "warn"]
    parts = [
        paragraph(tag("b", run.name), " ", tag("span", str(run.path), style=_QUIET)),
        paragraph(words),
        _folded(warned),
        _contents(run),
    ]
    return str(tag("div", *parts, style="max-width:76ch;overflow-wrap:anywhere"))


def _folded(warned: Sequence[Signature]) -> Html:
    if not warned:
        return Html("")
    items = (tag("li", tag("b", s.title), ": ", s.text) for s in warned)
    return tag("details", tag("summary", "What warns"), tag("ul", *items))


def _contents(run: Run) -> Html:
    there = {"scorings": run.scorings(), "selections": run.selections()}
    named = [f"{what}: {listing(names, 6)}" for what, names in there.items() if names]
    return tag("p", "; ".join(named), style=_QUIET) if named else Html("")
