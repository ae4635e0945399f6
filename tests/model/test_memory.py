"""Freed memory is kept for reuse, and given back afterwards."""

import json
import platform
import subprocess
import sys

import pytest

# In a process of its own: what a heap that a whole test suite has cut up can reuse is chance.
SCRIPT = """
import json, resource
from pathlib import Path
import torch
from circuitseer_core.model.memory import freed_memory_kept

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.zeros(16 * 2**20)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 2**20

usual = faults(4)
with freed_memory_kept():
    faults(24)  # until the cut-up heap has room for one
    kept, held = faults(4), resident()
print(json.dumps({"usual": usual, "kept": kept, "given_back_mib": held - resident()}))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tunes glibc's malloc")
def test_memory_is_faulted_in_once_and_given_back_after() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["kept"] < found["usual"] / 10
    assert found["given_back_mib"] >= 60
