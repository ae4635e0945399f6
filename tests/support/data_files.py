"""Small data sets as files."""

from __future__ import annotations

import json
from pathlib import Path


def write_data(path: Path, n: int = 12, sources: int = 2) -> Path:
    """``n`` worked sums as JSON Lines, from ``sources`` sources in turn."""
    rows = [
        {
            "question": f"What is {i} plus {3 * i}?",
            "answer": f"{i} + {3 * i} = {4 * i}, so it is {4 * i}.",
            "source": f"src{i % sources}",
        }
        for i in range(n)
    ]
    path.write_text("\n".join(json.dumps(r) for r in rows))
    return path
