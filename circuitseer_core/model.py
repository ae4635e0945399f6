"""Load a reference model, instrumented, and find its attention heads.

``demo``, a local folder and a Hub id go through the same Transformers loading code. The heads are
found by running two tokens through the model and seeing which layers call our attention function:
no list of architectures, and a model that cannot be instrumented is refused before any work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_outputs import BaseModelOutputWithPast

from circuitseer_core import demo
from circuitseer_core.attention import NAME, AttentionCall, Intervention, intervening
from circuitseer_core.errors import UserError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Head = tuple[int, int]
"""(layer, head), both 0-based."""


@dataclass(frozen=True)
class ModelInfo:
    """What a manifest says of the reference model."""

    id: str
    revision: str | None
    architecture: str
    weights_hash: str
    tokenizer_hash: str
    dtype: str
    device: str
    n_layers: int
    heads_per_layer: list[int]
    parameters: int


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


def resolve_device(device: str) -> torch.device:
    """``auto`` is CUDA, then Apple's MPS, then the CPU."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(1, device=resolved)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {device!r} cannot be used: {_first_line(error)}") from error
    return resolved


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """``auto`` is bf16 on a GPU, else fp32 (bf16 noise exceeds most heads' effect)."""
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    if dtype not in DTYPES:
        raise UserError(f"unknown dtype {dtype!r}: choose auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]


def load_model(
    spec: str, *, dtype: str = "auto", device: str = "auto", revision: str | None = None
) -> tuple[ReferenceModel, ModelInfo]:
    """Load and instrument a reference model.

    Args:
        spec: a Hub id, a local Transformers folder, or ``demo`` (the embedded default).

    Raises:
        UserError: unknown model, unusable device, or an architecture without reachable heads.
    """
    on = resolve_device(device)
    precision = resolve_dtype(dtype, on)
    source = str(demo.model_folder()) if spec == "demo" else spec
    try:
        config = AutoConfig.from_pretrained(source, revision=revision)
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
        model: Any = AutoModelForCausalLM.from_pretrained(
            source, config=config, revision=revision, dtype=precision, attn_implementation=NAME
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UserError(f"model {spec!r} cannot be loaded: {_first_line(error)}") from error
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(f"model {spec!r} has no fast tokenizer, so token offsets are unknown")
    model.to(device=on)
    reference = ReferenceModel(model, tokenizer, name=spec)
    return reference, describe(reference, source, revision)


def describe(reference: ReferenceModel, source: str, revision: str | None) -> ModelInfo:
    """The manifest entry of a loaded model; hashes its weight files (about 1 s a gigabyte)."""
    model = reference.model
    names = {v: k for k, v in DTYPES.items()}
    return ModelInfo(
        id=reference.name,
        revision=getattr(model.config, "_commit_hash", None) or revision,
        architecture=type(model).__name__,
        weights_hash=_weights_hash(source, revision),
        tokenizer_hash=_tokenizer_hash(reference.tokenizer),
        dtype=names.get(reference.dtype, str(reference.dtype)),
        device=str(reference.device),
        n_layers=len(reference.layers),
        heads_per_layer=reference.heads_per_layer,
        parameters=sum(p.numel() for p in model.parameters()),
    )


def _weights_hash(source: str, revision: str | None) -> str:
    folder = Path(source)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(source, revision=revision, local_files_only=True))
    files = sorted(p for p in folder.iterdir() if p.suffix in {".safetensors", ".bin", ".gguf"})
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode())
        with path.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


def _tokenizer_hash(tokenizer: Any) -> str:
    state = tokenizer.backend_tokenizer.to_str() + str(tokenizer.chat_template)
    return hashlib.sha256(state.encode()).hexdigest()


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
