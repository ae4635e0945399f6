"""Load a reference model, instrumented, and find its attention heads.

``demo``, a local folder and a Hub id go through the same Transformers loading code. The heads are
found by running two tokens through the model and seeing which layers call our attention function:
no list of architectures, and a model that cannot be instrumented is refused before any work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPast

from circuitseer_core.aliases import Head
from circuitseer_core.errors import UserError
from circuitseer_core.model.attention import AttentionCall, Intervention, intervening


class ReferenceModel:
    """An instrumented causal language model with its tokenizer and its map of heads.

    Attributes:
        heads_per_layer: query heads of every decoder layer; 0 for layers without softmax attention.
        layers: the decoder layers, in order.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, *, name: str) -> None:
        self.model: Any = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.layers, self.heads_per_layer = _find_heads(self.model, name)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        dtype: torch.dtype = next(self.model.parameters()).dtype
        return dtype

    @property
    def body(self) -> nn.Module:
        """The model without its LM head."""
        body: nn.Module = self.model.base_model
        return body

    @property
    def heads(self) -> list[Head]:
        """Every (layer, head), layer-major."""
        return [(layer, h) for layer, n in enumerate(self.heads_per_layer) for h in range(n)]

    @property
    def max_positions(self) -> int:
        """The longest input the model has positions for."""
        config = self.model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or 4096)

    def hidden(self, input_ids: Tensor) -> Tensor:
        """Final hidden states (B, T, d) of right-padded ids (B, T).

        No padding mask is passed: under causal attention no real token sees the padding behind it,
        and without a mask SDPA takes its fast causal path. Ignore padded positions afterwards.
        """
        output: Tensor = self.body(input_ids=input_ids, use_cache=False)[0]
        return output

    def logits(self, hidden: Tensor) -> Tensor:
        """Vocabulary logits (n, V) of final hidden states (n, d), in the model's dtype.

        The model's own forward does it, around a body that hands back ``hidden``: so final
        soft-caps, logit scales and the like are the model's, without a branch here.
        """
        states = _BodyOutput(last_hidden_state=hidden[None])
        dummy = torch.zeros(1, 1, dtype=torch.long, device=hidden.device)
        with replaced_forward(self.body, lambda *args, **kwargs: states):
            logits: Tensor = self.model(input_ids=dummy, use_cache=False).logits
        return logits[0]


class _BodyOutput(BaseModelOutputWithPast):
    """A body's output that has None for whatever else a model's own forward hands on (router
    logits of a mixture of experts, cross attentions of GPT-2)."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


@contextmanager
def replaced_forward(module: nn.Module, forward: Any) -> Iterator[None]:
    """Let ``module`` run ``forward`` inside the block, hooks and all else untouched."""
    module.forward = forward
    try:
        yield
    finally:
        del module.forward


class _HeadCounter(Intervention):
    def __init__(self) -> None:
        self.heads: dict[int, int] = {}

    def before(self, call: AttentionCall) -> None:
        self.heads[call.layer] = call.n_heads


def _find_heads(model: Any, name: str) -> tuple[list[nn.Module], list[int]]:
    """Decoder layers and their head counts, from one two-token forward pass."""
    architecture = type(model).__name__
    counter = _HeadCounter()
    ids = torch.zeros(1, 2, dtype=torch.long, device=next(model.parameters()).device)
    with torch.inference_mode(), intervening(counter):
        model(input_ids=ids, use_cache=False)
    if not counter.heads:
        raise UserError(
            f"{name}: {architecture} has no attention heads that can be instrumented "
            "(none of its layers goes through Transformers' AttentionInterface)"
        )
    layers = _decoder_layers(model, set(counter.heads))
    if layers is None:
        raise UserError(f"{name}: {architecture}'s attention layers do not form one decoder stack")
    return layers, [counter.heads.get(i, 0) for i in range(len(layers))]


def _decoder_layers(model: nn.Module, indices: set[int]) -> list[nn.Module] | None:
    """The module list whose i-th child holds the attention that calls itself layer i."""
    for stack in model.modules():
        if not isinstance(stack, nn.ModuleList) or len(stack) <= max(indices):
            continue
        if all(
            any(getattr(m, "layer_idx", None) == i for m in stack[i].modules()) for i in indices
        ):
            return list(stack)
    return None
