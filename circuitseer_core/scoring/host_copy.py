"""A batch's observations on their way to the CPU, without stopping a GPU at the next batch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from circuitseer_core.scoring.profiles import Profiles


class HostCopy:
    """Starts the copy of one batch's profiles, and of its head readings where there are any."""

    def __init__(self, profiles: Profiles) -> None:
        both = torch.stack([profiles.observed, profiles.flat])
        # The event is of the tensor's own device: the current one may be another.
        self._event = torch.cuda.Event() if both.is_cuda else None
        self._host = self._copied(both)
        self._heads = None if profiles.heads is None else self._copied(profiles.heads)
        if self._event is not None:
            self._event.record(torch.cuda.current_stream(both.device))

    def _copied(self, tensor: Tensor) -> Tensor:
        if not tensor.is_cuda:
            return tensor.cpu()
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        return host.copy_(tensor, non_blocking=True)

    def wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32] | None]:
        """Observed and undifferentiated profiles (B, G, T), head readings (B, F, H) or None."""
        if self._event is not None:
            self._event.synchronize()
        observed, flat = self._host.numpy()
        return observed, flat, None if self._heads is None else self._heads.numpy()
