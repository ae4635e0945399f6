"""What both a fit and its use must agree on: folds, ranks within them, and the form of length.

Rows of one normalised prompt share a fold: a fit that saw one of them has seen the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from circuitseer_core.aliases import Floats, Hashes, Ints
from circuitseer_core.correlation import ranks
from circuitseer_core.hashing import uniforms

_FOLDS = "calibration-folds"


def fold_keys(ids: Sequence[str], prompts: Hashes) -> list[str]:
    """(N,) what each row's fold is a hash of: its prompt's hash, or its id where that is 0."""
    return [f"{h:016x}" if h else i for i, h in zip(ids, prompts.tolist(), strict=True)]


def folds_by_hash(keys: Sequence[str], folds: int, seed: int, repeat: int = 0) -> Ints:
    """(N,) number of each row's fold: a property of its key. Another ``repeat``, another one."""
    domain = f"{_FOLDS}-{repeat}" if repeat else _FOLDS
    return np.floor(uniforms(seed, domain, keys) * folds).astype(np.int64)


def numbered(keys: Sequence[str]) -> Ints:
    """(N,) the number of each row's key, in order of first appearance."""
    return pd.factorize(np.asarray(keys, dtype=object))[0].astype(np.int64)


def share_ranks(values: Floats, groups: Ints | None = None) -> Floats:
    """(N,) mid-ranks between 0 and 1, within each group where given; NaN stays NaN."""
    if groups is None:
        return (ranks(values) - 0.5) / max(1, int(np.isfinite(values).sum()))
    shares = np.full(len(values), np.nan)
    for group in np.unique(groups):
        at = np.flatnonzero(groups == group)
        shares[at] = share_ranks(values[at])
    return shares


def length_basis(tokens: Floats) -> Floats:
    """(n, 3): 1, l, l^2 with l the logarithm of the tokens."""
    logs = np.log(np.maximum(tokens, 1.0))
    return np.column_stack([np.ones_like(logs), logs, logs**2])
