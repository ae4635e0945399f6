"""What the options of a stage say of the machine: number format and device."""

from __future__ import annotations

from typing import Literal

DtypeName = Literal["auto", "fp32", "bf16", "fp16"]

DTYPE = "auto is fp32 on a CPU and bf16 on a GPU."
ALLOW_PICKLE = "Load a checkpoint that is no safetensors file (.bin, .pt): it can run code."
DEVICE = "auto, cpu, cuda, cuda:1, mps."
