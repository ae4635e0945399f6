"""What the options of a stage say of the machine: number format and device."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from pydantic import BeforeValidator

_LONG_NAMES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def short_name(value: Any) -> Any:
    """PyTorch's names of the formats, also as ``torch.float32``, are as good as ours."""
    return _LONG_NAMES.get(str(value).removeprefix("torch."), value)


DtypeName = Annotated[Literal["auto", "fp32", "bf16", "fp16"], BeforeValidator(short_name)]

DTYPE = "auto is fp32 on a CPU and bf16 on a GPU; float32, bfloat16 and float16 are understood too."
ALLOW_PICKLE = "Load a checkpoint that is no safetensors file (.bin, .pt): it can run code."
DEVICE = (
    "auto, cpu, cuda, cuda:1, mps; spread: the layers over all GPUs, where none holds them all."
)

WeightBits = Literal["all", "8", "4"]

WEIGHT_BITS = (
    "Bits of a weight in memory: all keeps the number format of --dtype; 8 and 4 need bitsandbytes "
    "and move every number a little."
)
DEVICES = "Several devices, one worker process each: 0,1 or cuda:0,cuda:1 or cpu,cpu."


class DeviceOptions(Protocol):
    """Settings of a stage that runs the model, as far as they say where."""

    @property
    def device(self) -> str:
        """One device."""
        ...

    @property
    def devices(self) -> str | None:
        """Several, separated by commas."""


def device_names(options: DeviceOptions) -> list[str]:
    """Where a stage runs: on ``--device``, or on several ``--devices`` (a number is a CUDA device)
    with a worker process each."""
    if options.devices is None:
        return [options.device]
    names = [name.strip() for name in options.devices.split(",")]
    return [f"cuda:{name}" if name.isdigit() else name for name in names]


def refuse_unclear_devices(options: DeviceOptions) -> None:
    """Raise ValueError where ``--devices`` names none, or ``--device`` says something else too."""
    if options.devices is None:
        return
    names = device_names(options)
    if not all(names) or {"auto", "spread"} & set(names):
        raise ValueError(f"--devices {options.devices}: name them, as in 0,1 or cpu,cpu")
    if options.device != "auto":
        raise ValueError("--device and --devices exclude each other")
