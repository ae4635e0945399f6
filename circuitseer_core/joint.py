"""Ablate whole sets of heads at once: what the heads do together, not one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from circuitseer_core.ablator import joint_loss
from circuitseer_core.corpus import Corpus
from circuitseer_core.encoding import default_max_length
from circuitseer_core.errors import UserError
from circuitseer_core.heads import parse_head_list
from circuitseer_core.model import load_model
from circuitseer_core.probe import encode_pool
from circuitseer_core.progress import Progress
from circuitseer_core.runs import Run


def ablate_sets(
    run_path: Path, head_texts: Sequence[str], data: Sequence[str], *, limit: int, device: str
) -> Iterator[str]:
    """Mean loss clean and under each set of heads, a line each; the model is the run's.

    Raises:
        UserError: no model in the run, unknown heads, or no usable sample.
    """
    run = Run.open(run_path)
    info, record = run.manifest.get("model"), run.manifest.get("detect", {})
    if info is None:
        raise UserError(f"{run.path} has no model yet: run detect --run {run.path}")
    sets = [parse_head_list(text) for text in head_texts]
    corpus = Corpus(list(data))
    corpus.count()
    reference, _ = load_model(
        info["id"], dtype=info["dtype"], device=device, revision=info.get("revision")
    )
    known = set(reference.heads)
    unknown = [f"{a}.{b}" for heads in sets for a, b in heads if (a, b) not in known]
    if unknown:
        raise UserError(f"the model has no head {', '.join(unknown)}")
    pool = encode_pool(
        reference,
        corpus,
        size=limit,
        seed=0,
        template=record.get("template", "plain"),
        loss_tokens=record.get("settings", {}).get("loss_tokens", "response"),
        max_length=record.get("max_length", default_max_length(reference.max_positions, None)),
    )
    with Progress(None, "ablate", len(pool.samples), unit="samples") as progress:
        losses = joint_loss(reference, pool.samples, sets, on_samples=progress.advance)
    yield f"clean: {losses[0].mean():.4f} nats over {losses.shape[1]} samples"
    for text, row in zip(head_texts, losses[1:], strict=True):
        delta = row - losses[0]
        error = delta.std(ddof=1) / np.sqrt(len(delta)) if len(delta) > 1 else float("nan")
        yield f"{text}: {row.mean():.4f} nats ({delta.mean():+.4f} ± {error:.4f})"
