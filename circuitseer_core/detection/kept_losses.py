"""Clean losses of candidates, kept while they are taken: minutes of work on a CPU.

One small file a set in the run folder, written every ``WRITE_EVERY_S`` and when the pass stops for
any reason; gone once the probe is chosen. A batch is the unit: cut again in the same way, it is
taken from here whole or computed again whole, so that a pass that was stopped ends with the numbers
of one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import pandas as pd

from circuitseer_core.checksums import is_whole
from circuitseer_core.files import write_parquet
from circuitseer_core.hashing import short_hash
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.runs.folder import Run

WRITE_EVERY_S = 20.0


class KeptLosses:
    """The losses of one set's candidates that are already known. A context manager."""

    def __init__(self, run: Run, name: str) -> None:
        self.path = losses_path(run, name)
        self._known: dict[str, float] = {}
        self._written = time.monotonic()
        self._new = False
        if self.path.is_file() and is_whole(self.path):
            table = pd.read_parquet(self.path)
            self._known = dict(zip(table["sample"], table["base_loss"], strict=True))

    def of(self, samples: Sequence[Encoded]) -> list[float] | None:
        """The losses of a batch; None unless all of them are known."""
        keys = [_key(sample) for sample in samples]
        return [self._known[key] for key in keys] if self._known.keys() >= set(keys) else None

    def add(self, samples: Sequence[Encoded], losses: Sequence[float]) -> None:
        """Keep a batch."""
        self._known |= zip(map(_key, samples), map(float, losses), strict=True)
        self._new = True
        if time.monotonic() - self._written >= WRITE_EVERY_S:
            self._write()

    def __enter__(self) -> KeptLosses:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._new:
            self._write()

    def _write(self) -> None:
        columns = {"sample": list(self._known), "base_loss": list(self._known.values())}
        write_parquet(self.path, pd.DataFrame(columns))
        self._written, self._new = time.monotonic(), False


def losses_path(run: Run, name: str) -> Path:
    """Where the losses of a set are kept meanwhile."""
    return run.path / f"losses-{name}.parquet"


def drop_losses(run: Run) -> None:
    """Delete them: the probe is chosen."""
    for path in run.path.glob("losses-*.parquet"):
        path.unlink(missing_ok=True)


def _key(sample: Encoded) -> str:
    """What a loss depends on, beside the model: the tokens and where the counted ones begin."""
    return short_hash(sample.id, str(sample.ids), str(sample.loss_from))
