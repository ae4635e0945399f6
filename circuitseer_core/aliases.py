"""Names for the types that every package speaks of: arrays by what they hold, and a head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

Head = tuple[int, int]
"""A query head as (layer, head), both 0-based."""
Index = NDArray[np.intp]
"""Row numbers, (n,)."""
