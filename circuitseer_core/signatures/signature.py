"""One finding about a run, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["warn", "info", "good"]


@dataclass(frozen=True, slots=True)
class Signature:
    """One failure signature, present (``warn``), unclear (``info``) or absent (``good``).

    Attributes:
        key: stable name, for tests and links.
        severity: how it looks.
        title: a few words.
        text: one or two sentences that stand alone, with the number in them.
        number: the number behind it; None where it is not finite.
        page: the app's page that shows it: heads, samples, sources, export or evidence.
    """

    key: str
    severity: Severity
    title: str
    text: str
    number: float | None
    page: str
