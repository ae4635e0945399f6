"""Loading a reference model, and the hashes by which a run knows that it is still the same one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils.hub import cached_file
from transformers.utils.import_utils import is_peft_available
from transformers.utils.peft_utils import find_adapter_config_file

from circuitseer_core.errors import UserError, one_line
from circuitseer_core.model import demo
from circuitseer_core.model.attention import NAME
from circuitseer_core.model.placement import (
    SPREAD,
    first_of_several_gpus,
    make_current,
    placement,
    refuse_weights_elsewhere,
)
from circuitseer_core.model.reference import ReferenceModel, positions_of
from circuitseer_core.model.weights_hash import indexed, named_weights, weights_hash

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


Check = Callable[[int, Any], object]
"""Looks at a model's positions and its tokenizer, and may raise UserError."""


class PinnedModel(Protocol):
    """What a run knows of its model: the id it was asked for, and the hashes that pin it."""

    id: str
    revision: str | None
    weights_hash: str | None
    tokenizer_hash: str | None

    @property
    def weight_bits(self) -> str:
        """``all``, or ``8`` or ``4`` where the weights were quantised as they were loaded."""
        ...


@dataclass(frozen=True)
class ModelInfo:
    """What a manifest says of the reference model."""

    id: str
    revision: str | None
    architecture: str
    weights_hash: str
    tokenizer_hash: str
    dtype: str
    weight_bits: str
    device: str
    n_layers: int
    heads_per_layer: list[int]
    parameters: int


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
        raise UserError(f"device {device!r} cannot be used: {one_line(error)}") from error
    return resolved


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """``auto`` is bf16 on a GPU, else fp32 (bf16 noise exceeds most heads' effect)."""
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    if dtype not in DTYPES:
        raise UserError(f"unknown dtype {dtype!r}: choose auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]


_BROKEN = (
    OSError, ValueError, KeyError, ImportError, RuntimeError, TypeError, AttributeError, IndexError,
    ArithmeticError, AssertionError, RecursionError, SafetensorError, StrictDataclassError,
)  # fmt: skip
"""What a configuration of wrong types, broken weights or another file under a known name raise."""


_ALLOWED = "CIRCUITSEER_ALLOW_PICKLE"
_SAFE = (".safetensors", ".safetensors.index.json")


@contextmanager
def pickle_allowed(allowed: bool) -> Iterator[None]:
    """Where ``allowed``, all loading in the block may read checkpoints that can run code.

    Whoever loads a model need not pass it on, and the workers that are started in the block know
    it too: it stands in the environment. A run folder has no say in it.
    """
    before = os.environ.get(_ALLOWED)
    if allowed:
        os.environ[_ALLOWED] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_ALLOWED, None)
        else:
            os.environ[_ALLOWED] = before


def load_model(
    spec: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    revision: str | None = None,
    allow_pickle: bool = False,
    weight_bits: str = "all",
    check: Check | None = None,
) -> tuple[ReferenceModel, ModelInfo]:
    """Load and instrument a reference model.

    Args:
        spec: a Hub id, a local Transformers folder, or ``demo`` (the embedded default).
        device: see :func:`resolve_device`; ``spread`` for the layers over all GPUs.
        allow_pickle: also load checkpoints that are no safetensors files; see
            :func:`pickle_allowed`.
        weight_bits: ``all``, or ``8`` or ``4``: weights quantised as they are loaded.
        check: may refuse (by UserError) before the weights are read.

    Raises:
        UserError: unknown model, unusable device, a library that is missing, weights that are no
            safetensors files, or an architecture without reachable heads.
    """
    on = first_of_several_gpus() if device == SPREAD else resolve_device(device)
    make_current(on)
    precision = resolve_dtype(dtype, on)
    placing = placement(on, precision, spread=device == SPREAD, weight_bits=weight_bits)
    source = str(demo.model_folder()) if spec == "demo" else str(_folder_or_id(spec))
    allow_pickle = allow_pickle or os.environ.get(_ALLOWED) == "1"
    _refuse_pickle(spec, Path(source), allow_pickle)
    try:
        _refuse_pickled_adapter(spec, source, revision, allow_pickle)
        # Code that a model brings along is never run.
        config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(
            source, revision=revision, trust_remote_code=False
        )
        if check is not None:
            check(positions_of(config), tokenizer)
        model: Any = AutoModelForCausalLM.from_pretrained(
            source,
            config=config,
            revision=revision,
            dtype=precision,
            attn_implementation=NAME,
            trust_remote_code=False,
            use_safetensors=None if allow_pickle else True,
            **placing,
        )
        if not getattr(tokenizer, "is_fast", False):
            raise UserError(f"model {spec!r} has no fast tokenizer, so token offsets are unknown")
        if not placing:
            model.to(device=on)
        refuse_weights_elsewhere(model, spec)
        reference = ReferenceModel(model, tokenizer, name=spec)
        return reference, describe(reference, source, revision, weight_bits)
    except _BROKEN as error:
        hint = _PICKLED if not allow_pickle and "safetensors" in str(error) else ""
        raise UserError(f"model {spec!r} cannot be loaded: {one_line(error)}{hint}") from error


def load_tokenizer(
    spec: str, revision: str | None = None, *, offline: bool = False
) -> tuple[Any, int]:
    """The tokenizer of a model alone, and the model's positions.

    ``offline``: only from this machine, whatever the Hub may have.

    Raises UserError where there is no such model, or its tokenizer is not a fast one.
    """
    source = str(demo.model_folder()) if spec == "demo" else str(_folder_or_id(spec))
    options: dict[str, Any] = {"revision": revision, "local_files_only": offline}
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, **options)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
    except _BROKEN as error:
        raise UserError(f"the tokenizer of {spec!r} cannot be loaded: {one_line(error)}") from error
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(f"model {spec!r} has no fast tokenizer, so token offsets are unknown")
    return tokenizer, positions_of(config)


_ALL_THE_SAME = (
    f"load it all the same with --allow-pickle, or {_ALLOWED}=1 in the environment of what has no "
    "such option, as the app and validate"
)
_PICKLED = f" (weights in other formats can run code; {_ALL_THE_SAME})"


def _folder_or_id(spec: str) -> str | Path:
    """A folder under ``~`` spelled out; all else as it is."""
    try:
        folder = Path(spec).expanduser()
        return folder if os.path.isdir(folder) else spec
    except (RuntimeError, OSError, ValueError):  # no such user; no path at all
        return spec


def _refuse_pickle(spec: str, folder: Path, allow_pickle: bool) -> None:
    """Raise UserError where a folder has weights, and none of them in safetensors files, or where
    it names others: Transformers reads a pickle by such a name, and no hash would be of it."""
    if allow_pickle or not os.path.isdir(folder):
        return
    named = named_weights(folder)
    for name in [*indexed(folder), *([] if named is None else [named])]:
        if not isinstance(name, str) or name != Path(name).name or not name.endswith(_SAFE):
            raise UserError(
                f"model {spec!r} names {name!r} as its weights, which is no safetensors file in "
                "its folder: refused"
            )
    if any(folder.glob("*.safetensors")):
        return
    pickled = [p for end in ("bin", "pt", "pth", "ckpt") for p in sorted(folder.glob(f"*.{end}"))]
    if pickled:
        raise UserError(
            f"model {spec!r} has no safetensors weights: {pickled[0].name} can run code when it "
            f"is read (convert it, or {_ALL_THE_SAME})"
        )


def _refuse_pickled_adapter(
    spec: str, source: str, revision: str | None, allow_pickle: bool
) -> None:
    """Raise UserError for an adapter without safetensors weights.

    Transformers reads its ``adapter_model.bin`` then, whatever ``use_safetensors`` says.
    """
    if allow_pickle or not is_peft_available():
        return
    if find_adapter_config_file(source, revision=revision) is None:
        return
    name = "adapter_model.safetensors"
    quiet = {"_raise_exceptions_for_missing_entries": False}
    if cached_file(source, name, revision=revision, **quiet) is None:
        raise UserError(
            f"model {spec!r} is an adapter without {name}: other weights can run code when they "
            f"are read (convert it, or {_ALL_THE_SAME})"
        )


def load_run_model(
    known: PinnedModel, dtype: str, device: str, *, check: Check | None = None
) -> ReferenceModel:
    """The model that a run's heads were found in; ``check`` as in :func:`load_model`.

    Raises:
        UserError: it cannot be loaded, or its weights or tokenizer have changed since.
    """
    reference, info = load_model(
        known.id,
        dtype=dtype,
        device=device,
        revision=known.revision,
        weight_bits=known.weight_bits,
        check=check,
    )
    for what, now, then in (
        ("weights", info.weights_hash, known.weights_hash),
        ("tokenizer", info.tokenizer_hash, known.tokenizer_hash),
    ):
        if now != then:
            raise UserError(
                f"{known.id} has other {what} now ({now[:8]}) than when this run's heads were "
                f"found ({str(then)[:8]}): detect again in another run"
            )
    return reference


def describe(
    reference: ReferenceModel, source: str, revision: str | None, weight_bits: str = "all"
) -> ModelInfo:
    """The manifest entry of a loaded model; hashes its weight files (see weights_hash.py)."""
    model = reference.model
    names = {v: k for k, v in DTYPES.items()}
    return ModelInfo(
        id=reference.name,
        revision=getattr(model.config, "_commit_hash", None) or revision,
        architecture=type(model).__name__,
        weights_hash=_weights_hash(source, revision),
        tokenizer_hash=_tokenizer_hash(reference.tokenizer),
        dtype=names.get(reference.dtype, str(reference.dtype)),
        weight_bits=weight_bits,
        device=str(reference.device),
        n_layers=len(reference.layers),
        heads_per_layer=reference.heads_per_layer,
        parameters=model.num_parameters(),  # knows that 4-bit weights are packed
    )


def _weights_hash(source: str, revision: str | None) -> str:
    folder = Path(source)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(source, revision=revision, local_files_only=True))
    return weights_hash(folder)


def _tokenizer_hash(tokenizer: Any) -> str:
    state = tokenizer.backend_tokenizer.to_str() + str(tokenizer.chat_template)
    return hashlib.sha256(state.encode()).hexdigest()
