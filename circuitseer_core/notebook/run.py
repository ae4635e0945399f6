"""A run that shows itself: in a sentence, as a notebook's output, in figures by name.

The sentence and the warnings are those of the app's Overview, made by the same functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from circuitseer_core.errors import UserError
from circuitseer_core.installation import require_extra
from circuitseer_core.notebook.page import run_page
from circuitseer_core.runs.folder import Run
from circuitseer_core.signatures import catalogue
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.signatures.summary import summary

if TYPE_CHECKING:
    import plotly.graph_objects as go


class NotebookRun(Run):
    """A run folder as :func:`circuitseer_core.load_run` opens it.

    Tables are pandas frames: ``heads()``, ``importance()``, ``probe()``, ``scores(name)``,
    ``rejects(name)``, ``selection_ids(name)``. ``scorings()``, ``selections()`` and
    ``calibrations()`` name what there is.
    """

    def summary(self, scoring: str | None = None) -> str:
        """The run in one sentence: what was measured, scored, drawn, and how much warns."""
        return summary(Evidence(self, scoring), self.warnings(scoring))

    def warnings(self, scoring: str | None = None, scorer: str | None = None) -> list[Signature]:
        """The failure signatures, warnings first; each has a title, a text, a number."""
        return catalogue.warnings(self, scoring=scoring, scorer=scorer)

    @property
    def figures(self) -> list[str]:
        """Names of the figures that this run has now; other ones need a further stage.

        Raises UserError where plotly is not installed.
        """
        return self._figures().available(Evidence(self))

    def figure(
        self,
        name: str,
        *,
        scoring: str | None = None,
        scorer: str | None = None,
        selection: str | None = None,
        theme: Literal["light", "dark"] = "light",
    ) -> go.Figure:
        """A figure of the run, as the report draws it.

        Args:
            name: ``heads`` (layer by head), ``importance`` (sorted, with intervals), ``layers``,
                ``specificity`` (with a contrast set), ``scores`` (by source), ``lengths`` (score
                against tokens), ``controls`` (random heads), ``sources``, ``drawn-scores``,
                ``drawn-lengths`` (before and after the draw), or ``experiment:NAME``.
            scoring, scorer: which scores; by default those of the newest selection.
            selection: which selection, with its scoring and scorer.

        Raises:
            UserError: no such figure, the run lacks what it shows, or plotly is not installed.
        """
        return self._figures().figure(Evidence(self, scoring, scorer, selection), name, theme)

    @staticmethod
    def _figures() -> Any:
        """The figures' module, which needs plotly."""
        require_extra("app", "a figure", "plotly")
        from circuitseer_core.report import run_figures

        return run_figures

    def __repr__(self) -> str:
        text = f"Run({str(self.path)!r}): {self._seen()[0]}"
        return "".join(c if c.isprintable() else " " for c in text)

    def _repr_html_(self) -> str:
        """The sentence, the warnings and what there is; every text escaped."""
        return run_page(self, *self._seen())

    def _seen(self) -> tuple[str, list[Signature]]:
        """The sentence and the signatures; of a damaged run what is damaged."""
        try:
            signatures = self.warnings()
            return summary(Evidence(self), signatures), signatures
        except UserError as error:
            return str(error), []
