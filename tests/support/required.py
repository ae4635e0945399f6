"""Kinds of tests that a laptop may skip and CI may not: a browser, Ray, the embedded model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

VARIABLES = {
    "browser": "CIRCUITSEER_REQUIRE_BROWSER",
    "ray": "CIRCUITSEER_REQUIRE_RAY",
    "model": "CIRCUITSEER_REQUIRE_MODEL",
}
"""Marker of the tests, and the variable that, set to 1, makes a skip a failure."""


class Required:
    """How the tests of the kinds that are asked for ended."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._ends: dict[str, dict[str, str]] = {
            kind: {} for kind, name in VARIABLES.items() if environment.get(name) == "1"
        }

    def note(self, report: pytest.TestReport) -> None:
        """Remember how a test ended."""
        for kind, ends in self._ends.items():
            if kind in report.keywords and (report.when == "call" or report.skipped):
                ends[report.nodeid] = report.outcome

    def note_file(self, report: pytest.CollectReport) -> None:
        """Remember a file that was skipped as a whole: ``test_KIND_….py``."""
        for kind, ends in self._ends.items():
            if report.skipped and f"test_{kind}_" in report.nodeid:
                ends[report.nodeid] = report.outcome

    def problems(self) -> Iterator[str]:
        """A line for every kind of which a test was skipped, or none ran."""
        for kind, ends in self._ends.items():
            skipped = [name for name, end in ends.items() if end == "skipped"]
            if skipped:
                what = f"{len(skipped)} {kind} tests were skipped, the first is {skipped[0]}"
            elif not ends:
                what = f"no {kind} test ran"
            else:
                continue
            yield f"{VARIABLES[kind]}=1: {what}"
