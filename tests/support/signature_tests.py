"""Small helpers of the signatures' tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from circuitseer_core.runs.folder import Run
from circuitseer_core.signatures.catalogue import warnings
from circuitseer_core.signatures.signature import Signature

RNG = np.random.default_rng


def signature_of(run: Run, key: str, **options: Any) -> Signature | None:
    """The one signature of this key, or None where its check does not apply."""
    matching = [s for s in warnings(run, **options) if s.key == key]
    assert len(matching) <= 1
    return matching[0] if matching else None


def severity(run: Run, key: str, **options: Any) -> str | None:
    signature = signature_of(run, key, **options)
    return signature.severity if signature else None


def strong(samples: int = 16, heads: int = 20, seed: int = 0) -> np.ndarray:
    """ΔL in which head 0 matters (about 1 nat) and the others hardly do (about 0.01)."""
    delta = RNG(seed).normal(0, 0.01, (samples, heads))
    delta[:, 0] += 1.0
    return delta
