"""Small helpers of the experiments' tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

RNG = np.random.default_rng


def spearman(one: Any, other: Any) -> float:
    return float(stats.spearmanr(one, other).statistic)
