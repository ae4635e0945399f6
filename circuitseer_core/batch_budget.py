"""How many tokens a batch takes: found by doubling until it is no faster, or memory runs out."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

START = 1024
LIMITS = {"cpu": 16_384, "cuda": 131_072}
GAIN = 1.05
"""A doubled batch must be this much faster per token to be worth its memory."""
LONG_ENOUGH_S = 0.4
"""A batch that takes this long has no fixed cost left to spread."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on a GPU or (as far as it shows) on a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def find_token_budget(run: Callable[[int, int], None], length: int, device: torch.device) -> int:
    """The token budget to pin.

    Args:
        run: does one batch of (samples, tokens each), to the end (synchronised).
        length: a typical sample's tokens.

    Returns:
        The smallest budget within 5 % of the best throughput that was seen. On memory running out
        the last size that fitted is halved: real batches are less even than this one.
    """
    limit = LIMITS.get(device.type, LIMITS["cuda"])
    best, best_rate = START, 0.0
    budget = START
    while budget <= limit:
        samples = max(1, budget // length)
        try:
            rate, seconds = _measure(run, samples, length, warm=budget > START)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            release(device)
            return max(length, best // 2)
        if rate < GAIN * best_rate:
            break
        best, best_rate = budget, rate
        if seconds > LONG_ENOUGH_S:
            break
        budget *= 2
    return max(length, best)


def _measure(
    run: Callable[[int, int], None], samples: int, length: int, *, warm: bool
) -> tuple[float, float]:
    """Tokens a second and seconds of one batch; a second try where the first had start-up costs."""
    began = time.perf_counter()
    run(samples, length)
    seconds = time.perf_counter() - began
    if not warm and seconds <= 5 * LONG_ENOUGH_S:
        began = time.perf_counter()
        run(samples, length)
        seconds = time.perf_counter() - began
    return samples * length / seconds, seconds


def release(device: torch.device) -> None:
    """Give cached memory back after a failure."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
