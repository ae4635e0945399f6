"""What a long check has done so far, a line each in a file, so that a cut loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Journal:
    """What came of each piece of work, by its name; in a file too, where one is named."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.done = path, dict[str, dict[str, Any]]()
        if path is not None and path.exists():
            whole = path.read_text(encoding="utf-8").rpartition("\n")[0]  # a cut line is no result
            path.write_text(whole + "\n" if whole else "", encoding="utf-8")
            self.done = {one["name"]: one for one in map(json.loads, whole.splitlines())}

    def add(self, name: str, **result: Any) -> None:
        """Write down a piece of work that has ended."""
        self.done[name] = {"name": name, **result}
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self.done[name]) + "\n")
