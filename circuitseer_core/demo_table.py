"""The DATA spec ``demo``: the embedded corpus as one table, read like any other dataset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from circuitseer_core import demo_data
from circuitseer_core.errors import UserError
from circuitseer_core.readers import Row


class DemoTable:
    """Rows of `demo_data`. Raises UserError on construction where its packages are absent."""

    name = "demo"

    def __init__(self, source: str | None) -> None:
        if problem := demo_data.available():
            raise UserError(problem)
        self.source = source or "demo"

    def rows(self) -> Iterator[Row]:
        """Stream the rows; they are built on first use (under a second)."""
        for number, record in enumerate(demo_data.rows(), start=1):
            yield Row(f"demo row {number}", dict(record))

    def count(self) -> int:
        """1,410."""
        return len(demo_data.rows())

    def fingerprint(self) -> dict[str, Any]:
        """The packages' versions and the SHA-256 of the rows as JSON."""
        text = json.dumps(demo_data.rows(), sort_keys=True, ensure_ascii=False)
        return {
            "name": self.name,
            "packages": dict(demo_data.PACKAGES),
            "rows": self.count(),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
