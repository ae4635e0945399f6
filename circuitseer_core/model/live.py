"""The one model that is held in memory to be looked into, and how to let go of it.

Stages load a model, work and end. A look at single samples asks again and again, so the model
stays between looks: one at a time, since a second would double the memory. Whoever asks for another
one, or calls :func:`free`, lets the first go.
"""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass

from circuitseer_core.model.loading import PinnedModel, load_run_model
from circuitseer_core.model.memory import give_back, release
from circuitseer_core.model.reference import ReferenceModel

Identity = tuple[str | None, ...]

_lock = threading.Lock()
_in_memory: tuple[Identity, ReferenceModel] | None = None


@dataclass(frozen=True)
class HeldModel:
    """What is in memory: name, precision ("float32"), device, and the bytes of its weights."""

    name: str
    dtype: str
    device: str
    bytes: int


def live_model(known: PinnedModel, dtype: str, device: str = "auto") -> ReferenceModel:
    """A run's model, from memory if it is the one held there, else loaded in its place.

    Raises:
        UserError: it cannot be loaded, or its weights have changed since the run was made.
    """
    global _in_memory
    hashes = (known.weights_hash, known.tokenizer_hash)  # of files, so of any number of bits
    identity = (known.id, known.revision, *hashes, known.weight_bits, dtype, device)
    with _lock:
        if _in_memory is None or _in_memory[0] != identity:
            _in_memory = None
            _in_memory = (identity, load_run_model(known, dtype, device))
        return _in_memory[1]


def model_in_memory() -> HeldModel | None:
    """The model in memory; None where there is none. Loads nothing."""
    kept = _in_memory
    if kept is None:
        return None
    model = kept[1]
    return HeldModel(
        name=model.name,
        dtype=str(model.dtype).removeprefix("torch."),
        device=str(model.device),
        bytes=weight_bytes(model),
    )


def weight_bytes(reference: ReferenceModel) -> int:
    """Bytes of parameters and buffers, shared ones counted once."""
    tensors = [*reference.model.parameters(), *reference.model.buffers()]
    stores = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(stores.values())


def free() -> None:
    """Let the held model go and give its memory back to the system, as far as that can be done."""
    global _in_memory
    with _lock:
        if _in_memory is None:
            return
        device = _in_memory[1].device
        _in_memory = None
        gc.collect()
        release(device)
        give_back()
