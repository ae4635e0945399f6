"""Ablate whole sets of heads at once: what the heads do together, not one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from circuitseer_core.aliases import Floats, Head
from circuitseer_core.data.fields import Fields
from circuitseer_core.detection.ablate_settings import AblateSettings
from circuitseer_core.detection.ablation import AblationMode
from circuitseer_core.detection.heads import head_list, parse_head_list, value_pairs
from circuitseer_core.detection.probe import AS_THE_PROBE, encode_candidates
from circuitseer_core.errors import UserError
from circuitseer_core.model.attention import intervening
from circuitseer_core.model.batches import Batch, group_by_tokens, loss_batch
from circuitseer_core.model.encoding import Encoded, default_max_length
from circuitseer_core.model.loading import load_run_model, pickle_allowed
from circuitseer_core.model.losses import sample_losses
from circuitseer_core.model.memory import fitting, release, too_long
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import Progress
from circuitseer_core.runs.reading import probe_fields, read_as
from circuitseer_core.wording import count, signed


def joint_loss(
    reference: ReferenceModel,
    samples: Sequence[Encoded],
    head_sets: Sequence[Sequence[tuple[int, int]]],
    *,
    ablation: AblationMode | None = None,
    stack_tokens: int = 4096,
    on_samples: Callable[[int], object] | None = None,
    too_long_is_nan: bool = False,
) -> Floats:
    """Loss of every sample with whole sets of heads ablated at once, by full forward passes.

    Args:
        too_long_is_nan: what a sample is that memory does not hold alone; else it is refused.

    Returns:
        (len(head_sets) + 1, n) nats; row 0 is clean, row k has ``head_sets[k - 1]`` ablated.

    Raises:
        UserError: see ``too_long_is_nan``.
    """
    out = np.full((len(head_sets) + 1, len(samples)), np.nan)
    budget = max(1, stack_tokens // (len(head_sets) + 1))
    with torch.inference_mode():
        for group in group_by_tokens([s.n_tokens for s in samples], budget):
            batch = loss_batch([samples[i] for i in group], reference.device)
            sets = [[], *head_sets]
            out[:, group] = stacked_losses(
                reference, batch, sets, ablation or AblationMode(), too_long_is_nan=too_long_is_nan
            )
            if on_samples is not None:
                on_samples(len(group))
    return out


def stacked_losses(
    reference: ReferenceModel,
    batch: Batch,
    head_sets: Sequence[Sequence[tuple[int, int]]],
    ablation: AblationMode,
    *,
    too_long_is_nan: bool = False,
) -> Floats:
    """(sets, B) nats by :func:`set_losses`, where need be fewer samples, then sets, at a time.

    Raises:
        UserError: one sample is more than memory holds, unless ``too_long_is_nan``.
    """
    losses = fitting(lambda: set_losses(reference, batch, head_sets, ablation))
    if losses is not None:
        return losses.numpy()
    release(reference.device)

    def of(part: Batch, sets: Sequence[Sequence[tuple[int, int]]]) -> Floats:
        return stacked_losses(reference, part, sets, ablation, too_long_is_nan=too_long_is_nan)

    if batch.size > 1:
        return np.concatenate([of(half, head_sets) for half in batch.halves()], axis=1)
    if len(head_sets) == 1:
        if too_long_is_nan:
            return np.full((1, 1), np.nan)
        raise too_long(batch.lengths[0])
    middle = len(head_sets) // 2
    return np.concatenate([of(batch, head_sets[:middle]), of(batch, head_sets[middle:])])


def head_sets(heads: Any) -> list[list[Head]]:
    """Sets of heads from one set or a list of them.

    A set is text (``"18.8,7.2"``), a sequence of (layer, head) pairs, or a frame with these
    columns. Raises UserError where ``heads`` is nothing of the kind.
    """
    if isinstance(heads, str | pd.DataFrame):
        return [_set_of(heads)]
    try:
        return [_set_of(heads)]
    except UserError:
        if not isinstance(heads, list | tuple) or not heads or not all(map(_is_set, heads)):
            raise
    return [_set_of(one) for one in heads]


def _is_set(value: Any) -> bool:
    return isinstance(value, str | pd.DataFrame | list | tuple | set | frozenset)


def _set_of(value: Any) -> list[Head]:
    heads = parse_head_list(value) if isinstance(value, str) else value_pairs(value)
    if not heads:
        raise UserError("empty head list")
    return heads


def ablate_sets(
    run_path: Path, head_texts: Sequence[str], settings: AblateSettings
) -> Iterator[str]:
    """Mean loss clean and under each set of heads, a line each; see :func:`ablation_table`."""
    sets = [_set_of(text) for text in head_texts]
    table = ablation_table(run_path, sets, settings)
    clean, *ablated = table.itertuples(index=False)
    samples = count(clean.n, "sample")
    if table.attrs["left_out"]:
        left = ", ".join(f"{n:,} {why}" for why, n in table.attrs["left_out"].items())
        yield f"{samples}; left out on the way: {left}"
    yield f"clean: {clean.loss:.4f} nats over {samples}"
    for text, row in zip(head_texts, ablated, strict=True):
        yield f"{text}: {row.loss:.4f} nats ({signed(row.delta_loss, 4)} ± {row.stderr:.4f})"


def ablation_table(
    run_path: Path, sets: Sequence[Sequence[Head]], settings: AblateSettings
) -> pd.DataFrame:
    """Mean loss clean (row 0) and under each set of heads; the model is the run's.

    ``limit`` samples are taken by hash of those that can serve: with a response, and of at most
    ``max_length`` tokens (by default what the model has positions for, 4,096 at most). Where no
    field names are given, those that the run's probe was read with are tried before others.

    Returns:
        heads (text), loss, delta_loss, stderr (nats; of a single sample NaN), n;
        ``attrs["left_out"]``: samples that could not serve, by reason.

    Raises:
        UserError: no model in the run, unknown heads, or no usable sample.
    """
    run = Run.open(run_path)
    model, detection = run.model, run.detection
    corpus = read_as(settings.data, probe_fields(run), Fields.of(settings))
    layers = model.heads_per_layer
    known = {(layer, head) for layer, n in enumerate(layers) for head in range(n)}
    unknown = [f"{a}.{b}" for heads in sets for a, b in heads if (a, b) not in known]
    if unknown:
        raise UserError(f"the model has no head {', '.join(unknown)}")
    with pickle_allowed(settings.allow_pickle):
        reference = load_run_model(
            model,
            model.dtype,
            settings.device,
            check=lambda positions, _: default_max_length(positions, settings.max_length),
        )
    pool = encode_candidates(
        reference,
        corpus,
        size=settings.limit,
        seed=0,
        template=detection.template or "plain",
        loss_tokens=detection.settings.loss_tokens if detection.settings else "response",
        max_length=default_max_length(reference.max_positions, settings.max_length),
        hints=AS_THE_PROBE,
    )
    with Progress(None, "ablate", len(pool.samples), unit="samples", phase="Ablating") as progress:
        losses = joint_loss(reference, pool.samples, sets, on_samples=progress.advance)
    table = _differences(losses, sets)
    table.attrs["left_out"] = dict(pool.left_out)
    return table


def _differences(losses: Floats, sets: Sequence[Sequence[Head]]) -> pd.DataFrame:
    """The table of losses (sets + 1, n), row 0 clean."""
    delta = losses - losses[0]
    n = losses.shape[1]
    spread = delta.std(axis=1, ddof=1) if n > 1 else np.full(len(losses), np.nan)
    spread[0] = 0.0
    return pd.DataFrame(
        {
            "heads": ["none", *(head_list(heads).rstrip(",") for heads in sets)],
            "loss": losses.mean(axis=1),
            "delta_loss": delta.mean(axis=1),
            "stderr": spread / np.sqrt(n),
            "n": n,
        }
    )


def set_losses(
    reference: ReferenceModel,
    batch: Batch,
    head_sets: Sequence[Sequence[tuple[int, int]]],
    ablation: AblationMode,
) -> Tensor:
    """Losses with whole sets of heads ablated at once, (sets, B) float64; an empty set is clean."""
    with intervening(ablation.plan_sets(head_sets, batch.size)):
        hidden = reference.hidden(batch.ids.repeat(len(head_sets), 1))
    return sample_losses(reference, hidden, batch)
