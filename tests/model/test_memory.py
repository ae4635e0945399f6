"""Freed memory is kept for reuse, and given back afterwards."""

import json
import platform
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from contextlib import ExitStack

import pytest
import torch

from circuitseer_core.errors import UserError
from circuitseer_core.model import memory
from circuitseer_core.model.memory import fitting, in_halves, is_out_of_memory

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
    measured = json.loads(done.stdout)
    assert measured["kept"] < measured["usual"] / 10
    assert measured["given_back_mib"] >= 60


def test_an_inner_block_leaves_the_outer_ones_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []

    class Libc:
        def mallopt(self, *option: int) -> None:
            calls.append(option)

        def malloc_trim(self, pad: int) -> None:
            calls.append((pad,))

    monkeypatch.setattr(memory, "_glibc", Libc)
    elsewhere = ExitStack()
    with memory.freed_memory_kept():
        tuned = list(calls)
        with memory.freed_memory_kept(), memory.freed_memory_kept("cuda"):
            pass
        other = threading.Thread(target=elsewhere.enter_context, args=(memory.freed_memory_kept(),))
        other.start()
        other.join()
    with pytest.raises(KeyError), memory.freed_memory_kept():
        raise KeyError
    assert len(tuned) == 2 and calls == tuned, "another thread's block is still open"
    elsewhere.close()
    assert len(calls) > len(tuned) and calls[-1] == (0,), "trimmed"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to …"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_forms_of_memory_running_out(error: BaseException) -> None:
    def work() -> int:
        raise error

    assert is_out_of_memory(error) and fitting(work) is None


def test_other_errors_and_results_go_through() -> None:
    assert fitting(lambda: 3) == 3
    with pytest.raises(RuntimeError, match="size"):
        fitting(lambda: torch.ones(2) @ torch.ones(3))
    assert not is_out_of_memory(ValueError("not enough memory"))


def test_what_failed_is_freed_before_the_next_try() -> None:
    """Inside an ``except`` block the traceback would still keep the tensors of the failed try."""
    kept: list[weakref.ref[torch.Tensor]] = []

    def work() -> int:
        large = torch.ones(10)
        kept.append(weakref.ref(large))
        raise torch.OutOfMemoryError("injected")

    assert fitting(work) is None
    assert kept[0]() is None


def test_items_are_done_in_halves_where_memory_asks_for_it_and_in_their_order() -> None:
    kept: list[weakref.ref[torch.Tensor]] = []

    def work(items: Sequence[int]) -> int:
        assert all(tensor() is None for tensor in kept), "the failed try's tensors are gone"
        large = torch.ones(10)
        kept.append(weakref.ref(large))
        if len(items) > 2:
            raise torch.OutOfMemoryError("injected")
        return sum(items)

    cpu = torch.device("cpu")
    done = [(list(items), total) for items, total in in_halves(range(7), work, cpu, int)]
    assert done == [([0], 0), ([1, 2], 3), ([3, 4], 7), ([5, 6], 11)]

    def never(items: Sequence[int]) -> int:
        raise MemoryError

    with pytest.raises(UserError, match="a sample of 9 tokens does not fit"):
        list(in_halves([9], never, cpu, int))
