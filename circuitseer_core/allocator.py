"""Keep freed memory for the next tensor of the same size.

The C library gives every large tensor fresh pages and hands them back when it is freed, so a loop
over forward passes faults the same memory in again and again: up to a quarter of a stack's time on
a CPU. Inside :func:`freed_memory_kept` large blocks come from the heap, which keeps them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Names: mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_KEEP_ALL = 2**31 - 1
_DEFAULT_MMAP_MAX = 65536
# glibc raises its mmap threshold by itself, up to here, and trims at twice that; the first call of
# mallopt ends that for good, so what it would have come to is set by hand on the way out.
_MMAP_THRESHOLD = 32 * 2**20
_TRIM_THRESHOLD = 2 * _MMAP_THRESHOLD


@contextmanager
def freed_memory_kept(device_type: str = "cpu") -> Iterator[None]:
    """Reuse freed memory inside the block and give it back after.

    Does nothing where the work is on another device than the CPU, or the C library is not glibc.
    """
    libc = _glibc() if device_type == "cpu" else None
    if libc is not None:
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_ALL)
    try:
        yield
    finally:
        if libc is not None:
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
