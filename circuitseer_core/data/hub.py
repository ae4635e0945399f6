"""Datasets from the Hugging Face Hub, through the ``datasets`` library (imported when needed).

The dataset is downloaded once into that library's cache and memory-mapped from there, so that
re-reading and counting are cheap. A local folder in place of a Hub id goes through the same code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from circuitseer_core.data.arrow_formats import batch_records
from circuitseer_core.data.formats import BATCH_ROWS, Row
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.installation import require_extra


class HubTable:
    """``dataset[:config][:split]``.

    With one part after the dataset, it is the config where the dataset has one of that name, else
    the split. Without a config the dataset must have only one, or one called default; without a
    split it is train, or the only one there is.

    Nothing is fetched before the first row, count or fingerprint is asked for; then UserError
    where datasets is not installed, the Hub is out of reach, or a name is unknown.
    """

    def __init__(self, spec: str, source: str | None) -> None:
        parts = spec.split(":")
        if not parts[0] or len(parts) > 3 or not all(parts):
            raise UserError(f"hf:{spec} is not of the form hf:dataset[:config][:split]")
        self.dataset = parts[0]
        self.parts = parts[1:]
        self.name = f"hf:{spec}"
        self.source = source or parts[0].rstrip("/")
        self._loaded: Any = None
        self._resolved: tuple[str | None, str] | None = None

    def rows(self) -> Iterator[Row]:
        """Stream the rows from the memory-mapped cache."""
        data = self._load()
        number = 0
        for start in range(0, len(data), BATCH_ROWS):
            for record, problem in batch_records(data[start : start + BATCH_ROWS]):
                number += 1
                yield Row(f"{self.name} row {number}", record, problem)

    def count(self) -> int:
        """Rows of the split."""
        return len(self._load())

    def fingerprint(self) -> dict[str, Any]:
        """Dataset, config, split, rows and the Hub's revision (null for a local folder)."""
        data = self._load()
        config, split = self._resolved or (None, "")
        files = " ".join((data.info.download_checksums or {}).keys())
        revision = re.search(r"@([0-9a-f]{40})/", files)
        return {
            "name": self.name,
            "hub": self.dataset,
            "config": config,
            "split": split,
            "revision": revision.group(1) if revision else None,
            "rows": len(data),
            "content": data._fingerprint,
        }

    def _load(self) -> Any:
        if self._loaded is None:
            require_extra("hub", self.name, "datasets")
            import datasets
            from datasets.exceptions import DatasetsError

            try:
                self._loaded = self._fetch(datasets).with_format("arrow")
            except (DatasetsError, OSError, ValueError, RuntimeError) as error:
                raise UserError(_explain(self.name, error)) from error
        return self._loaded

    def _fetch(self, datasets: Any) -> Any:
        if len(self.parts) == 2:  # all is said: nothing to look up, so a cached copy is enough
            self._resolved = (self.parts[0], self.parts[1])
            return datasets.load_dataset(self.dataset, self.parts[0], split=self.parts[1])
        configs = datasets.get_dataset_config_names(self.dataset)
        parts = list(self.parts)
        config = parts.pop(0) if parts and parts[0] in configs else None
        if config is None and len(configs) > 1 and "default" not in configs:
            listed = ", ".join(configs[:12])
            raise UserError(f"{self.name} has several configurations, name one of: {listed}")
        splits = datasets.get_dataset_split_names(self.dataset, config)
        split = parts[0] if parts else "train" if "train" in splits else splits[0]
        if split not in splits or (not parts and split != "train" and len(splits) > 1):
            raise UserError(f"{self.name} has the splits {', '.join(splits)}: name one of them")
        self._resolved = (config, split)
        return datasets.load_dataset(self.dataset, config, split=split)


def _explain(name: str, error: Exception) -> str:
    """One line for a failure inside the datasets library."""
    text = one_line(error)
    kind = type(error).__name__
    if isinstance(error, ConnectionError) or "Offline" in kind or "Connection" in kind:
        return f"cannot load {name}: the Hub is out of reach and no copy is cached ({text})"
    return f"cannot load {name}: {text}"
