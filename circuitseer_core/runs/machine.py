"""What the options of a stage say of the machine: number format and device."""

from __future__ import annotations

from typing import Literal

DtypeName = Literal["auto", "fp32", "bf16", "fp16"]

DTYPE = "auto is fp32 on a CPU and bf16 on a GPU."
DEVICE = (
    "auto, cpu, cuda, cuda:1, mps; spread: the layers over all GPUs, where none holds them all."
)

WeightBits = Literal["all", "8", "4"]

WEIGHT_BITS = (
    "Bits of a weight in memory: all keeps the number format of --dtype; 8 and 4 need bitsandbytes "
    "and move every number a little."
)
