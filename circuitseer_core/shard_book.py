"""What is done and what is to do in one scoring: the meeting point of stream and shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from circuitseer_core import shards
from circuitseer_core.corpus import Corpus
from circuitseer_core.files import write_json
from circuitseer_core.score_settings import fingerprint
from circuitseer_core.windows import Window, windows


class ShardBook:
    """The shards of one scoring. Making one writes settings.json and clears away foreign shards.

    Attributes:
        record: settings.json.
        mark: hash of the settings, which every shard carries.
        count: windows seen so far; the number of shards once the stream is at its end.
    """

    def __init__(self, folder: Path, record: dict[str, Any], corpus: Corpus) -> None:
        self.folder, self.record, self.corpus = folder, record, corpus
        self.mark = fingerprint(record)
        self.count = 0
        write_json(folder / "settings.json", record)
        shards.clean(folder, self.mark)

    def to_do(self, on_skip: Callable[[int], None]) -> Iterator[Window]:
        """The windows that have no finished shard; ``on_skip`` gets the rows of those that do."""
        self.count = 0
        for window in windows(self.corpus, self.record["shard_rows"]):
            self.count += 1
            note = shards.finished(self.folder, window.index, self.mark)
            if note is not None and note.entries == window.size:
                on_skip(window.size)
            else:
                yield window

    @property
    def token_budget(self) -> int | None:
        """Tokens of a batch; None until it was found."""
        budget: int | None = self.record["token_budget"]
        return budget

    def pin_budget(self, budget: int) -> None:
        """Write the token budget down, so that a resumed run does the same arithmetic."""
        if self.record["token_budget"] != budget:
            self.record["token_budget"] = budget
            write_json(self.folder / "settings.json", self.record)

    def add(self, table: pa.Table, note: shards.Note) -> None:
        """Write one finished shard."""
        shards.write_part(self.folder, table, note)
