"""What the numbers were taken on, and what that machine can do at best."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil
import torch


def described(device: torch.device, packages: tuple[str, ...]) -> dict[str, Any]:
    """Processor, cores, Python and package versions, and the load when asked."""
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
    }


def matmul_rate(device: torch.device, dtype: torch.dtype, size: int | None = None) -> float:
    """Best FLOP/s of a large square matmul."""
    size = size or (2048 if device.type == "cpu" else 8192)
    a = torch.randn(size, size, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        a @ a
        synchronise(device)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def synchronise(device: torch.device) -> None:
    """Wait for the GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()


@contextmanager
def memory_peak(device: torch.device) -> Iterator[dict[str, float]]:
    """Peak memory inside the block in GiB: allocated on the GPU, else resident (sampled)."""
    peak = {"gib": 0.0}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        yield peak
        peak["gib"] = torch.cuda.max_memory_allocated() / 2**30
        return
    stop = threading.Event()
    process = psutil.Process()

    def watch() -> None:
        while not stop.wait(0.02):
            peak["gib"] = max(peak["gib"], process.memory_info().rss / 2**30)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
        return f"{names[0]}, {torch.backends.cpu.get_cpu_capability()}"
    except (OSError, IndexError):
        return platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
