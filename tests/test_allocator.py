"""Freed memory is kept for reuse, and given back afterwards."""

import platform
import resource

import pytest
import torch

from circuitseer_core.allocator import freed_memory_kept


def faults(rounds: int) -> int:
    """Page faults of making and dropping a 64 MB tensor ``rounds`` times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.zeros(16 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tunes glibc's malloc")
def test_memory_is_faulted_in_once_inside_the_block_only() -> None:
    usual = faults(4)
    with freed_memory_kept():
        faults(1)
        kept = faults(4)
    after = faults(4)
    assert kept < usual / 10
    assert after > usual / 2
