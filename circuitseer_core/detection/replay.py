"""Layer replay: ablate heads of layer l by re-running layers l..L only.

1. Run the batch once, clean; keep every decoder layer's input.
2. Layers below l do not change when a head of layer l is ablated. So start at layer l from its kept
   input, stacked V times, each copy with another head ablated; earlier layers pass through.
3. Take logits at loss positions only, in chunks, and reduce in float32.

The model's own forward drives the replay (earlier layers' forward is replaced by the identity), so
masks, rotary tables and final norms are the architecture's. Models that carry more from layer to
layer than the hidden state (key/value sharing, say) fail the self-check and get full forwards.

Axes: V variants in a stack, B samples, T tokens, d hidden width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from circuitseer_core.detection.ablation import AblationMode
from circuitseer_core.model.attention import intervening
from circuitseer_core.model.batches import Batch
from circuitseer_core.model.losses import sample_losses
from circuitseer_core.model.reference import ReferenceModel, replaced_forward


@dataclass(frozen=True, slots=True)
class CleanPass:
    """One batch run clean: ``inputs[l]`` (B, T, d) enters layer l; ``losses`` (B,) float64."""

    inputs: list[Tensor]
    losses: Tensor


def run_clean(reference: ReferenceModel, batch: Batch, *, keep_inputs: bool = True) -> CleanPass:
    """One clean forward pass; keeps every layer's input unless told otherwise."""
    inputs: list[Tensor] = []
    with _keeping_inputs(reference.layers if keep_inputs else [], inputs):
        hidden = reference.hidden(batch.ids)
    return CleanPass(inputs, sample_losses(reference, hidden, batch)[0])


@contextmanager
def _keeping_inputs(layers: Sequence[nn.Module], inputs: list[Tensor]) -> Iterator[None]:
    """Append the hidden states that enter each of ``layers`` to ``inputs``."""

    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs.append(args[0] if args else kwargs["hidden_states"])

    with ExitStack() as hooks:
        for layer in layers:
            hooks.callback(layer.register_forward_pre_hook(keep, with_kwargs=True).remove)
        yield


@contextmanager
def _starting_at(layers: Sequence[nn.Module], start: int, inputs: Tensor) -> Iterator[None]:
    """Pass through layers below ``start``; feed ``inputs`` to layer ``start``."""

    def identity(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return hidden_states

    original = layers[start].forward

    def enter(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        return original(inputs, *args, **kwargs)

    with ExitStack() as patches:
        for layer in layers[:start]:
            patches.enter_context(replaced_forward(layer, identity))
        patches.enter_context(replaced_forward(layers[start], enter))
        yield


def replay_hidden(
    reference: ReferenceModel, batch: Batch, clean: CleanPass, layer: int, copies: int
) -> Tensor:
    """Final hidden states (copies*B, T, d) of ``copies`` stacked replays from ``layer`` on."""
    stacked = clean.inputs[layer].repeat(copies, 1, 1)
    with _starting_at(reference.layers, layer, stacked):
        return reference.hidden(batch.ids.repeat(copies, 1))


def variant_losses(
    reference: ReferenceModel,
    batch: Batch,
    clean: CleanPass | None,
    layer: int,
    heads: Sequence[int | None],
    ablation: AblationMode,
) -> Tensor:
    """Losses of one stack, (V, B) float64: variant v has head ``heads[v]`` of ``layer`` ablated.

    A head of None is a clean copy. Without ``clean`` the whole model runs instead of a replay.
    """
    size = batch.size
    rows = [v * size + b for v, h in enumerate(heads) if h is not None for b in range(size)]
    which = [h for h in heads if h is not None for _ in range(size)]
    targets = {layer: (rows, which)} if rows else {}
    with intervening(ablation.plan(targets)):
        if clean is None:
            hidden = reference.hidden(batch.ids.repeat(len(heads), 1))
        else:
            hidden = replay_hidden(reference, batch, clean, layer, len(heads))
    return sample_losses(reference, hidden, batch)


def replay_is_exact(reference: ReferenceModel, batch: Batch) -> bool:
    """Whether a clean replay from every layer with heads gives the clean final states.

    Checked on a few tokens before work starts. The tolerance is generous to low precision: what it
    must catch (state that bypasses the replayed layers) is off by far more.
    """
    ids = batch.ids[:1, : min(32, batch.lengths[0])]
    inputs: list[Tensor] = []
    with _keeping_inputs(reference.layers, inputs):
        clean = reference.hidden(ids).float()
    tolerance = (1e-4 if reference.dtype == torch.float32 else 5e-2) * float(clean.abs().max())
    for layer, n_heads in enumerate(reference.heads_per_layer):
        if n_heads == 0:
            continue
        try:
            with _starting_at(reference.layers, layer, inputs[layer]):
                again = reference.hidden(ids).float()
        except (RuntimeError, KeyError, IndexError, AttributeError, TypeError, ValueError):
            return False  # a layer missed something that an earlier one should have left for it
        if not float((again - clean).abs().max()) <= tolerance:
            return False
    return True
