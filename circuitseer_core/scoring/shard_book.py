"""What is done and what is to do in one scoring: where the stream of windows meets its shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.runs.records import ScoringRecord
from circuitseer_core.scoring import shards
from circuitseer_core.scoring.settings import fingerprint
from circuitseer_core.scoring.windows import Cut, Window, windows


def cut_of(record: ScoringRecord) -> Cut:
    """Where the shards of a scoring end."""
    assert record.shard_rows is not None  # pinned when the scoring began
    return Cut(
        rows=record.shard_rows,
        chars=record.shard_chars,
        text_chars=record.text_chars,
        text=record.text,
        both=record.baselines or record.head_influence,
        ends=tuple(record.grown_at),
    )


class ShardBook:
    """The shards of one scoring. Making one writes settings.json and clears away foreign shards.

    Attributes:
        record: settings.json.
        mark: hash of the settings, which every shard carries.
        count: windows seen so far; the number of shards once the stream is at its end.
        damaged: shards that were not as they were written, to be made again.
    """

    def __init__(self, folder: Path, record: ScoringRecord, corpus: Corpus) -> None:
        self.folder, self.record, self.corpus = folder, record, corpus
        self.mark = fingerprint(record)
        self.count = 0
        record.write(folder / "settings.json")
        self.damaged = shards.clean(folder, self.mark)

    def to_do(self, on_skip: Callable[[int], None]) -> Iterator[Window]:
        """The windows that have no finished shard; ``on_skip`` gets the rows of those that do."""
        self.count = 0
        for window in windows(self.corpus, self.cut):
            self.count += 1
            note = shards.finished(self.folder, window.index, self.mark)
            if note is not None and note.entries == window.size:
                on_skip(window.size)
            else:
                yield window

    @property
    def token_budget(self) -> int | None:
        """Tokens of a batch; None until it was found."""
        return self.record.token_budget

    @property
    def cut(self) -> Cut:
        """Where windows, and so shards, end."""
        return cut_of(self.record)

    def pin_budget(self, budget: int) -> None:
        """Write the token budget down, so that a resumed run does the same arithmetic."""
        if self.record.token_budget != budget:
            self.record.token_budget = budget
            self.record.write(self.folder / "settings.json")

    def lower_budget(self, used: int) -> None:
        """Pin what a shard was made with where memory ran out, so that a resumed run begins there.

        Shards under way elsewhere come back with what they were told; the least counts.
        """
        if self.token_budget is not None and used < self.token_budget:
            self.pin_budget(used)

    def add(self, table: pa.Table, note: shards.Note) -> None:
        """Write one finished shard."""
        shards.write_part(self.folder, table, note)
