"""Freed memory is kept for reuse, and given back afterwards."""

import json
import platform
import subprocess
import sys

import pytest

# In a process of its own: what a heap that a whole test suite has cut up can reuse is chance.
SCRIPT = """
import json, resource
import torch
from circuitseer_core.allocator import freed_memory_kept

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.zeros(16 * 2**20)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults(4)
with freed_memory_kept():
    faults(12)  # until the cut-up heap has room for one
    kept = faults(4)
print(json.dumps({"usual": usual, "kept": kept, "after": faults(4)}))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tunes glibc's malloc")
def test_memory_is_faulted_in_once_inside_the_block_only() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    faults = json.loads(done.stdout)
    assert faults["kept"] < faults["usual"] / 10
    assert faults["after"] > faults["usual"] / 2
