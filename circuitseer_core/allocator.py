"""Keep freed memory for the next tensor of the same size.

The C library gives every large tensor fresh pages and hands them back when it is freed, so a loop
over forward passes faults the same memory in again and again: up to a quarter of a stack's time on
a CPU. Inside :func:`freed_memory_kept` large blocks come from the heap, which keeps them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # names and defaults: mallopt(3)
_DEFAULT_TRIM, _DEFAULT_MMAP_MAX = 128 * 2**10, 65536
_KEEP_ALL = 2**31 - 1


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Reuse freed memory inside the block and give it back after; does nothing without glibc."""
    try:
        libc = ctypes.CDLL(None)
        mallopt, trim = libc.mallopt, libc.malloc_trim
    except (OSError, AttributeError, TypeError):
        yield
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _KEEP_ALL)
    try:
        yield
    finally:
        mallopt(_M_MMAP_MAX, _DEFAULT_MMAP_MAX)
        mallopt(_M_TRIM_THRESHOLD, _DEFAULT_TRIM)
        trim(0)
