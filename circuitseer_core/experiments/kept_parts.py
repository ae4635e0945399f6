"""Parts of a long measurement, kept as they are made, so that a stopped experiment goes on.

They lie in RUN/experiments/NAME-HASH/. The hash is of all that they depend on, so parts of other
work are never read; batches have to be the same in every try, so they must not go by timing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from circuitseer_core.aliases import Floats
from circuitseer_core.checksums import is_damaged
from circuitseer_core.files import write_parquet
from circuitseer_core.hashing import short_hash
from circuitseer_core.runs.experiments import experiments_folder
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import Progress


class KeptParts:
    """The parts of one measurement ``name`` of a run; ``depends`` is whatever decides them."""

    def __init__(self, run: Run, name: str, *depends: Any) -> None:
        mark = short_hash(repr((run.model.weights_hash, *depends)))
        self.folder = experiments_folder(run) / f"{name}-{mark}"

    def by_groups(
        self,
        groups: Sequence[Sequence[int]],
        measure: Callable[[Sequence[int]], Floats],
        progress: Progress,
    ) -> Floats:
        """(n, k) what ``measure`` makes of the n items of all groups, (len(group), k) of each; a
        part and so many units of progress a group."""

        def framed(group: Sequence[int]) -> pd.DataFrame:
            return pd.DataFrame(measure(group))

        parts = [
            self.part(f"{at:04d}", partial(framed, group), progress, len(group)).to_numpy()
            for at, group in enumerate(groups)
        ]
        together = np.concatenate(parts)
        together[np.concatenate(groups)] = together.copy()
        return together

    def part(
        self, name: str, measure: Callable[[], pd.DataFrame], progress: Progress, units: int
    ) -> pd.DataFrame:
        """The part ``name``, measured now where it is not there whole; ``units`` of progress."""
        path = self.folder / f"part-{name}.parquet"
        if path.is_file() and not is_damaged(path):
            try:
                part = pd.read_parquet(path)
                progress.skip(units)
                return part
            except (OSError, pa.ArrowException):
                pass  # cut off by a full disk, say: measured again
        part = measure()
        part.columns = part.columns.astype(str)
        write_parquet(path, part)
        progress.advance(units)
        return part
