"""Where the weights of a model go as it is loaded, and in how many bits.

With accelerate installed, weights are read straight onto their device instead of through the
machine's memory, and the layers of a model can be spread over several GPUs: accelerate then moves
what flows from layer to layer, and the rest of the project works on the first device.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch

from circuitseer_core.errors import UserError

SPREAD = "spread"
"""The device of a model whose layers lie on all GPUs."""


def first_of_several_gpus() -> torch.device:
    """The device on which a spread model begins. Raises UserError where there are not several."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus < 2:
        raise UserError(f"device {SPREAD!r} spreads a model over several GPUs: there are {gpus}")
    return torch.device("cuda", 0)


def make_current(device: torch.device) -> None:
    """Let what torch makes without being told a device be made for this one.

    Pinned memory and events are such things: in a worker on the second GPU they would else open
    the first one, which is another worker's.
    """
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)


def placement(
    device: torch.device, dtype: torch.dtype, *, spread: bool, weight_bits: str
) -> dict[str, Any]:
    """What ``from_pretrained`` is told; empty where the model is to be moved after loading.

    Raises:
        UserError: a library that this needs is not installed.
    """
    options: dict[str, Any] = {}
    if weight_bits != "all":
        _require("bitsandbytes", f"weights in {weight_bits} bits")
        options["quantization_config"] = _quantisation(dtype, weight_bits)
    if spread or weight_bits != "all":
        _require("accelerate", f"device {SPREAD!r}" if spread else "quantised weights")
        options["device_map"] = "auto" if spread else {"": device}
    elif device.type != "cpu" and find_spec("accelerate") is not None:
        options["device_map"] = {"": device}
    return options


def _quantisation(dtype: torch.dtype, weight_bits: str) -> Any:
    """Transformers' configuration for bitsandbytes."""
    from transformers import BitsAndBytesConfig

    if weight_bits == "8":
        return BitsAndBytesConfig(load_in_8bit=True)
    # NormalFloat: the better of bitsandbytes' two 4-bit types for weights (arXiv 2305.14314).
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )


def _require(library: str, what: str) -> None:
    if find_spec(library) is None:
        raise UserError(f"{what}: this needs {library} (pip install {library})")


def refuse_weights_elsewhere(model: Any, name: str) -> None:
    """Raise UserError where not all weights fitted on the GPUs: each pass would load them anew."""
    where = getattr(model, "hf_device_map", None) or {}
    away = [part for part, place in where.items() if str(place) in ("cpu", "disk")]
    if away and any(str(place) not in ("cpu", "disk") for place in where.values()):
        raise UserError(
            f"model {name!r} does not fit on the GPUs: {len(away)} of its {len(where)} parts would "
            "stay outside",
            hint="; --weight-bits 4 makes it smaller",
        )
