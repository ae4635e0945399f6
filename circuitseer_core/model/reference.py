"""Load a reference model, instrumented, and find its attention heads.

``demo``, a local folder and a Hub id go through the same Transformers loading code. The heads are
found by running a few tokens through the model and seeing which layers call our attention function:
no list of architectures. On the same tokens is checked what every number here rests on (see
``_check``); a model of which one of these is not true is refused before any work.

A replay replaces the forward of modules that other threads may be using, so whoever runs the model
holds ``_USE``: one forward pass at a time, as on one device.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig
from transformers.modeling_outputs import BaseModelOutputWithPast

from circuitseer_core.aliases import Head
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.model.attention import AttentionCall, Intervention, intervening, widened

_USE = threading.RLock()
"""Held during every forward pass and while a module's forward is replaced."""

_CHECKED_TOKENS = 8
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
_LOW_PRECISION = 5e-2
"""Largest difference taken as rounding, as a share of the largest value."""
_LOW = (torch.bfloat16, torch.float16)


@contextmanager
def using() -> Iterator[None]:
    """Keep other threads' forward passes out of the block."""
    with _USE:
        yield


def positions_of(config: Any) -> int:
    """The longest input that a model of this configuration has positions for."""
    return int(getattr(config.get_text_config(), "max_position_embeddings", None) or 4096)


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
        try:
            self.layers, self.heads_per_layer = _find_heads(self.model, name)
            _check(self)
        except _ODD as error:
            raise UserError(
                f"{name}: {type(model).__name__} cannot be instrumented: {one_line(error)}"
            ) from error

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
    def vocabulary(self) -> int:
        """How many tokens there are: ids run from 0."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @property
    def max_positions(self) -> int:
        """The longest input the model has positions for."""
        return positions_of(self.model.config)

    def hidden(self, input_ids: Tensor) -> Tensor:
        """Final hidden states (B, T, d) of right-padded ids (B, T).

        No padding mask is passed: under causal attention no real token sees the padding behind it,
        and without a mask SDPA takes its fast causal path. Ignore padded positions afterwards.
        """
        with _USE:
            output: Tensor = self.body(input_ids=input_ids, use_cache=False)[0]
        return output.to(input_ids.device)

    def generate(self, input_ids: Tensor, **options: Any) -> Tensor:
        """Transformers' own ``generate``, with other threads' passes kept out: (B, T + new) ids.

        What ``options`` leave open is Transformers' default: ``generate`` would fill it from the
        model's own settings, where penalties and forbidden tokens may stand.
        """
        with _USE:
            own = self.model.generation_config
            self.model.generation_config = GenerationConfig()
            try:
                ids: Tensor = self.model.generate(input_ids, **options)
            finally:
                self.model.generation_config = own
        return ids

    def logits(self, hidden: Tensor) -> Tensor:
        """Vocabulary logits (n, V) of final hidden states (n, d), in float32 whatever the model's.

        (Of states in float64 they are in float64.)

        The model's own forward does it, around a body that hands back ``hidden``: so final
        soft-caps, logit scales and the like are the model's, without a branch here. Only the
        product with a low-precision LM head is ours, so that no rounding is added after the body.
        """
        states = _BodyOutput(last_hidden_state=hidden[None])
        dummy = torch.zeros(1, 1, dtype=torch.long, device=hidden.device)
        head = self.model.get_output_embeddings()
        with ExitStack() as patches:
            patches.enter_context(replaced_forward(self.body, lambda *args, **kwargs: states))
            if isinstance(head, nn.Linear) and head.weight.dtype in _LOW:
                patches.enter_context(replaced_forward(head, partial(_float32_product, head)))
            logits: Tensor = self.model(input_ids=dummy, use_cache=False).logits
        return widened(logits[0])


def _float32_product(head: nn.Linear, states: Tensor) -> Tensor:
    """What a low-precision LM head gives, (..., V), summed up and kept in float32."""
    here, states = states.device, states.to(head.weight.device)
    # Tensor cores do so at no cost; elsewhere operands are widened first.
    if states.is_cuda and head.weight.dtype in _LOW:
        product = torch.mm(states.flatten(0, -2), head.weight.t(), out_dtype=torch.float32)
        logits = product.unflatten(0, states.shape[:-1])
    else:
        logits = torch.matmul(states.float(), head.weight.float().t())
    return (logits if head.bias is None else logits + head.bias.float()).to(here)


class _BodyOutput(BaseModelOutputWithPast):
    """A body's output that has None for whatever else a model's own forward hands on (router
    logits of a mixture of experts, cross attentions of GPT-2)."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


@contextmanager
def replaced_forward(module: nn.Module, forward: Any) -> Iterator[None]:
    """Let ``module`` run ``forward`` inside the block, hooks and all else untouched.

    Other threads wait with their own passes until the block is left.
    """
    with _USE:
        # Where weights are spread over devices, a forward of the module's own moves its inputs.
        before = module.__dict__.get("forward")
        module.forward = forward
        try:
            yield
        finally:
            if before is None:
                del module.forward
            else:
                module.forward = before


_ODD = (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError)
"""What a model that is built otherwise raises when it is run in our way."""


class _HeadCounter(Intervention):
    def __init__(self) -> None:
        self.heads: dict[int, int] = {}
        self.calls: dict[int, int] = {}

    def before(self, call: AttentionCall) -> None:
        self.heads[call.layer] = call.n_heads
        self.calls[call.layer] = self.calls.get(call.layer, 0) + 1


def _find_heads(model: Any, name: str) -> tuple[list[nn.Module], list[int]]:
    """Decoder layers and their head counts, from one forward pass of two tokens."""
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
    if max(counter.calls.values()) > 1:
        raise UserError(
            f"{name}: {architecture} attends more than once in a layer, so that what one head does "
            "is not what is observed of it"
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


class _PatternCheck(Intervention):
    """Whether the patterns that we observe are those that the model's outputs come from."""

    def __init__(self, close: Callable[[Tensor, Tensor], bool]) -> None:
        self.close, self.strange = close, set[int]()

    def after(self, call: AttentionCall, output: Tensor) -> Tensor:
        heads = torch.arange(call.n_heads, device=output.device)
        rows = torch.zeros_like(heads)
        pattern = call.pattern(rows, heads, 0, output.shape[1])  # (H, T, T)
        values = widened(call.value[rows, heads // call.group_size])
        ours = torch.matmul(pattern, values)
        if not self.close(ours, output[0].transpose(0, 1)):
            self.strange.add(call.layer)
        return output


def _check(reference: ReferenceModel) -> None:
    """Refuse a model for which one of the things that every number rests on is not true.

    1. Its logits are those of its LM head on its body's final states.
    2. It is causal: the last token changes no earlier state.
    3. The observed patterns times the values are what its attention gave.

    Raises:
        UserError: which of these is not true.
    """
    model, architecture = reference.model, type(reference.model).__name__
    rounding = _TOLERANCE.get(reference.dtype, _LOW_PRECISION)

    def close(one: Tensor, other: Tensor) -> bool:
        gap = (one.float() - other.float()).abs().max()
        return bool(gap <= rounding * other.float().abs().max().clamp_min(1e-6))

    ids = torch.arange(_CHECKED_TOKENS, device=reference.device)[None] * 7 + 3
    ids %= reference.vocabulary
    changed = ids.clone()
    changed[0, -1] = (ids[0, -1] + 1) % reference.vocabulary
    patterns = _PatternCheck(close)
    with torch.inference_mode(), _USE:
        with intervening(patterns):
            own = model(input_ids=ids, use_cache=False).logits[0]
        hidden = reference.hidden(ids)[0]
        earlier = reference.hidden(changed)[0, :-1]
        ours = reference.logits(hidden)
    if not close(earlier, hidden[:-1]):
        why = "later tokens change what it makes of earlier ones: it is no causal language model"
    elif ours.shape != own.shape or not close(ours, own):
        why = "its logits are not those of its LM head on its body's final states"
    elif patterns.strange:
        layers = ", ".join(map(str, sorted(patterns.strange)))
        why = f"its attention in layer {layers} is not that of its queries, keys and mask"
    else:
        return
    raise UserError(f"{reference.name}: {architecture} cannot serve as a reference model: {why}")
