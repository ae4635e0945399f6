"""The copy back from a GPU, with a GPU that is a few fakes: which stream the event belongs to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from circuitseer_core.scoring.host_copy import HostCopy
from circuitseer_core.scoring.profiles import Profiles

SECOND = torch.device("cuda", 1)


class FakeTensor:
    """A tensor that says it is on the second GPU."""

    is_cuda, device, dtype = True, SECOND, torch.float32

    def __init__(self, values: torch.Tensor) -> None:
        self.values, self.shape = values, values.shape


def test_the_event_is_recorded_on_the_stream_of_the_tensors_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[Any] = []

    class Event:
        def record(self, stream: Any) -> None:
            done.append(("record", stream))

        def synchronize(self) -> None:
            done.append("wait")

    class Pinned:
        """Host memory, filled at once."""

        def __init__(self, shape: Any) -> None:
            self.shape = shape

        def copy_(self, tensor: FakeTensor, non_blocking: bool) -> torch.Tensor:
            done.append(("copy", non_blocking))
            return tensor.values

    def empty(shape: Any, *, dtype: Any, pin_memory: bool) -> Pinned:
        assert pin_memory and dtype == torch.float32
        return Pinned(shape)

    plain_stack = torch.stack
    values = [torch.ones(2, 1, 3), torch.zeros(2, 1, 3)]
    fakes = [FakeTensor(value) for value in values]
    monkeypatch.setattr(
        torch, "stack", lambda both: FakeTensor(plain_stack([f.values for f in both]))
    )
    monkeypatch.setattr(torch, "empty", empty)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(of=device))
    copy = HostCopy(Profiles(fakes[0], fakes[1]))  # type: ignore[arg-type]
    (kind, not_waited), (recorded, stream) = done
    assert (kind, not_waited, recorded) == ("copy", True, "record") and stream.of == SECOND
    observed, flat, heads = copy.wait()
    assert done[-1] == "wait" and heads is None
    assert np.array_equal(observed, values[0]) and np.array_equal(flat, values[1])
