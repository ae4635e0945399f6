"""Datasets from the Hugging Face Hub, through the ``datasets`` library (imported when needed).

With ``hf:`` the dataset is downloaded once into that library's cache and memory-mapped from
there, so that re-reading and counting are cheap. With ``hf-stream:`` nothing is kept: every pass
reads from the Hub as it goes. A local folder in place of a Hub id goes through the same code.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from circuitseer_core.data.arrow_formats import batch_records
from circuitseer_core.data.formats import BATCH_ROWS, Row
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.hashing import short_hash
from circuitseer_core.installation import require_extra


class HubTable:
    """``hf:dataset[@revision][:config][:split]``, or the same with ``hf-stream:``.

    With one part after the dataset, it is the config where the dataset has one of that name, else
    the split. Without a config the dataset must have only one, or one called default; without a
    split it is train, or the only one there is.

    Nothing is fetched before the first row, count or fingerprint is asked for; then UserError
    where datasets is not installed, the Hub is out of reach, or a name is unknown.
    """

    def __init__(self, spec: str, source: str | None) -> None:
        kind, _, rest = spec.partition(":")
        parts = rest.split(":")
        dataset, at, revision = parts[0].partition("@")
        if at and os.path.exists(parts[0]):
            dataset, at, revision = parts[0], "", ""
        if not dataset or len(parts) > 3 or not all(parts) or (at and not revision):
            raise UserError(f"{spec} is not of the form {kind}:dataset[@revision][:config][:split]")
        self.dataset, self.revision = dataset, revision or None
        self.parts = parts[1:]
        self.streaming = kind == "hf-stream"
        self.format = "Hub, streamed" if self.streaming else "Hub"
        self.name = spec
        self.source = source or dataset.rstrip("/")
        self._loaded: Any = None
        self._resolved: tuple[str | None, str] | None = None
        self._count: int | None = None
        self._from_card = False
        self._files = ""

    @property
    def counts_itself(self) -> bool:
        """Not where a stream's card gave the number, which nobody keeps in step with the files."""
        return not self._from_card

    def rows(self) -> Iterator[Row]:
        """Stream the rows, from the memory-mapped cache or from the Hub."""
        number = 0
        for batch in self._batches():
            for record, problem in batch_records(batch):
                number += 1
                yield Row(f"{self.name} row {number}", record, problem)

    def _batches(self) -> Iterator[Any]:
        data = self._load()
        if not self.streaming:
            for start in range(0, len(data), BATCH_ROWS):
                yield data[start : start + BATCH_ROWS]
            return
        with _as_user_errors(self.name):
            yield from data.iter(batch_size=BATCH_ROWS)

    def count(self) -> int:
        """Rows of the split; of a stream what its card says, else by a pass over it."""
        data = self._load()
        if not self.streaming:
            return len(data)
        if self._count is None:
            known = (data.info.splits or {}).get(self._resolved[1] if self._resolved else "")
            rows = known.num_examples if known is not None else None
            self._from_card = bool(rows)
            self._count = rows or sum(batch.num_rows for batch in self._batches())
        return self._count

    def fingerprint(self) -> dict[str, Any]:
        """Dataset, config, split, rows and the Hub's revision (null for a local folder).

        Of a stream, ``content`` is a hash of the names, revisions or times of its files.
        """
        data = self._load()
        config, split = self._resolved or (None, "")
        files = " ".join((data.info.download_checksums or {}).keys())
        content = getattr(data, "_fingerprint", None)
        if self.streaming:
            files, content = self._files, short_hash(self._files)
        revision = re.search(r"@([0-9a-f]{40})/", files)
        return {
            "name": self.name,
            "hub": self.dataset,
            "config": config,
            "split": split,
            "revision": revision.group(1) if revision else None,
            "rows": self.count(),
            "content": content,
        }

    def _load(self) -> Any:
        if self._loaded is None:
            require_extra("hub", self.name, "datasets")
            import datasets

            with _as_user_errors(self.name):
                self._loaded = self._fetch(datasets).with_format("arrow")
        return self._loaded

    def _fetch(self, datasets: Any) -> Any:
        config, split = self._resolved = self._which(datasets)
        if not self.streaming:
            return datasets.load_dataset(self.dataset, config, split=split, revision=self.revision)
        builder = datasets.load_dataset_builder(self.dataset, config, revision=self.revision)
        files = (builder.config.data_files or {}).get(split) or []
        self._files = " ".join([*map(str, files), *map(str, getattr(files, "origin_metadata", ()))])
        return builder.as_streaming_dataset(split=split)

    def _which(self, datasets: Any) -> tuple[str | None, str]:
        """Config and split that are meant."""
        if len(self.parts) == 2:  # all is said: nothing to look up, so a cached copy is enough
            return self.parts[0], self.parts[1]
        configs = datasets.get_dataset_config_names(self.dataset, revision=self.revision)
        parts = list(self.parts)
        config = parts.pop(0) if parts and parts[0] in configs else None
        if config is None and len(configs) > 1 and "default" not in configs:
            listed = ", ".join(configs[:12])
            raise UserError(f"{self.name} has several configurations, name one of: {listed}")
        splits = datasets.get_dataset_split_names(self.dataset, config, revision=self.revision)
        split = parts[0] if parts else "train" if "train" in splits else splits[0]
        if split not in splits or (not parts and split != "train" and len(splits) > 1):
            raise UserError(f"{self.name} has the splits {', '.join(splits)}: name one of them")
        return config, split


@contextmanager
def _as_user_errors(name: str) -> Iterator[None]:
    """What the datasets library raises, in one line."""
    from datasets.exceptions import DatasetsError

    try:
        yield
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        raise UserError(_explain(name, error)) from error


def _explain(name: str, error: Exception) -> str:
    """One line for a failure inside the datasets library."""
    text = one_line(error)
    kind = type(error).__name__
    if isinstance(error, ConnectionError) or "Offline" in kind or "Connection" in kind:
        return f"cannot load {name}: the Hub is out of reach and no copy is cached ({text})"
    return f"cannot load {name}: {text}"
