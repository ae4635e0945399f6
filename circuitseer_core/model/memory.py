"""Memory: what a batch may take, what to do when it runs out, and reusing what was freed.

How many tokens a batch takes is found by doubling until it is no faster, or memory runs out.

On a CPU the C library gives every large tensor fresh pages and hands them back when it is freed, so
a loop over forward passes faults the same memory in again and again: up to a quarter of a stack's
time. Inside :func:`freed_memory_kept` large blocks come from the heap, which keeps them.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch

from circuitseer_core.errors import UserError

START = 1024
LIMITS = {"cpu": 16_384, "cuda": 131_072}
GAIN = 1.05
"""A doubled batch must be this much faster per token to be worth its memory."""
LONG_ENOUGH_S = 0.4
"""A batch that takes this long has no fixed cost left to spread."""

_FORMS = (
    "allocate memory",  # torch's CPU allocator
    "not enough memory",  # the same on Windows
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "MPS backend out of memory",
)
"""What says that memory ran out in errors that have no type of their own."""

Item = TypeVar("Item")
Result = TypeVar("Result")

# Names: mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_KEEP_ALL = 2**31 - 1
_DEFAULT_MMAP_MAX = 65536
# glibc raises its mmap threshold by itself, up to here, and trims at twice that; the first call of
# mallopt ends that for good, so what it would have come to is set by hand on the way out.
_MMAP_THRESHOLD = 32 * 2**20
_TRIM_THRESHOLD = 2 * _MMAP_THRESHOLD


_keeping = 0
"""Blocks of :func:`freed_memory_kept` that are open: the settings are the whole process's."""
_keeping_lock = threading.Lock()


@contextmanager
def freed_memory_kept(device_type: str = "cpu") -> Iterator[None]:
    """Reuse freed memory inside the block and give it back after the last such block that is open.

    Does nothing where the work is on another device than the CPU, or the C library is not glibc.
    """
    libc = _glibc() if device_type == "cpu" else None
    if libc is None:
        yield
        return
    _count_keeping(libc, 1)
    try:
        yield
    finally:
        _count_keeping(libc, -1)


def _count_keeping(libc: ctypes.CDLL, change: int) -> None:
    """Tune the C library as the first block opens, and back as the last one closes."""
    global _keeping
    with _keeping_lock:
        before, _keeping = _keeping, _keeping + change
        if before == 0:
            libc.mallopt(_M_MMAP_MAX, 0)
            libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_ALL)
        elif _keeping == 0:
            libc.mallopt(_M_MMAP_MAX, _DEFAULT_MMAP_MAX)
            libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)
            libc.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
            libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """The C library, if it is one whose malloc can be tuned."""
    try:
        libc = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def give_back() -> None:
    """Give memory that was freed, and that the C library keeps, back to the system."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on a GPU or (as far as it shows) on a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(form in str(error) for form in _FORMS)


def fitting(work: Callable[[], Result]) -> Result | None:
    """What ``work`` returns; None where memory ran out.

    The caller tries again with less *after* the failure was dealt with: while an exception is being
    handled its traceback keeps the tensors of the try that failed.
    """
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    return None


def too_long(tokens: int) -> UserError:
    """What to say where memory does not hold one sample."""
    return UserError(
        f"a sample of {tokens} tokens does not fit in memory", hint=": lower --max-length"
    )


def in_halves(
    items: Sequence[Item],
    work: Callable[[Sequence[Item]], Result],
    device: torch.device,
    tokens: Callable[[Item], int],
) -> Iterator[tuple[Sequence[Item], Result]]:
    """The items with what ``work`` makes of them: together, or of halves where memory runs out.

    Args:
        work: never gives None, which stands for memory that ran out.
        tokens: how long an item is, for the one line where memory does not hold a single one.

    Raises:
        UserError: see ``tokens``.
    """
    done = fitting(partial(work, items))
    if done is not None:
        yield items, done
        return
    release(device)
    if len(items) == 1:
        raise too_long(tokens(items[0]))
    middle = len(items) // 2
    for half in (items[:middle], items[middle:]):
        yield from in_halves(half, work, device, tokens)


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
        measured = fitting(partial(_measure, run, samples, length, warm=budget > START))
        if measured is None:
            release(device)
            return max(length, best // 2)
        rate, seconds = measured
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
