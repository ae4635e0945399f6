"""Loss changes of every head on small samples, by the engine and by the naive reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from circuitseer_core.detection.ablation import AblationMode
from circuitseer_core.detection.ablator import Ablator
from circuitseer_core.model.batches import loss_batch
from circuitseer_core.model.encoding import Encoded
from circuitseer_core.model.reference import ReferenceModel
from tests.support.naive import naive_delta


def samples(n: int = 3, seed: int = 0, longest: int = 24) -> list[Encoded]:
    """Samples of different lengths, longer than the tiny models' sliding window."""
    rng = np.random.default_rng(seed)
    out = []
    for i in range(n):
        length = longest - 3 * i
        ids = [int(t) for t in rng.integers(1, 300, length)]
        out.append(Encoded(f"s{i}", "toy", ids, int(rng.integers(4, length - 4))))
    return out


def measured(reference: ReferenceModel, batch_of: list[Encoded], **options: Any) -> Tensor:
    """(layers, heads, samples) loss changes by the engine."""
    mode = options.pop("mode", AblationMode())
    engine = Ablator(reference, mode, stack_tokens=options.pop("stack_tokens", 150), **options)
    batch = loss_batch(batch_of, reference.device)
    with torch.inference_mode():
        layers = [
            engine.measure(batch, layer, range(n), noise=False).delta
            for layer, n in enumerate(reference.heads_per_layer)
            if n
        ]
    return torch.stack(layers)


def expected(reference: ReferenceModel, batch_of: list[Encoded], **how: Any) -> Tensor:
    """(layers, heads, samples) loss changes by one naive forward pass a head."""
    layers = [i for i, n in enumerate(reference.heads_per_layer) if n]
    values = [
        [
            [naive_delta(reference, s, layer, h, **how) for s in batch_of]
            for h in range(reference.heads_per_layer[layer])
        ]
        for layer in layers
    ]
    return torch.tensor(values, dtype=torch.float64)
