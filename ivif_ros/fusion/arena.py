# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Memory for intermediate images that is used again for every pair."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_ALIGN = 16  # floats: one cache line


class Arena:
    """Hands out float32 tensors from one block, always in the same order for the same work.

    Fresh megabytes cost more than the arithmetic on them: the operating system clears each page
    when it is touched first. The block grows while the first pair is processed and then stays;
    addresses do not change from pair to pair, as graph capture on a GPU requires.
    """

    def __init__(self, device: torch.device) -> None:
        """Start empty."""
        self._block = torch.empty(0, device=device)
        self._used = 0
        self._peak = 0

    @property
    def device(self) -> torch.device:
        """Where the memory is."""
        return self._block.device

    @property
    def size_bytes(self) -> int:
        """Memory that is held."""
        return self._block.numel() * self._block.element_size()

    def restart(self) -> None:
        """Declare everything handed out so far free; call it once at the start of each pair."""
        if self._peak > self._block.numel():
            # Ordinary tensors may be written inside and outside of inference mode.
            with torch.inference_mode(False):
                device = self._block.device
                del self._block  # before the new one, not beside it
                self._block = torch.empty(self._peak, device=device)
        self._used = 0

    def empty(self, *shape: int) -> Tensor:
        """Hand out an uninitialised contiguous float32 tensor, valid until `restart`."""
        count = math.prod(shape)
        start = self._used
        self._used += -(-count // _ALIGN) * _ALIGN
        self._peak = max(self._peak, self._used)
        if self._used > self._block.numel():
            with torch.inference_mode(False):
                return torch.empty(shape, device=self._block.device)
        return self._block[start:start + count].view(shape)

    def bytes(self, *shape: int) -> Tensor:
        """Hand out the same as uint8."""
        count = math.prod(shape)
        return self.empty(-(-count // 4)).view(torch.uint8)[:count].view(shape)

    @contextmanager
    def scratch(self) -> Iterator[None]:
        """Free at its end what was handed out inside."""
        mark = self._used
        yield
        self._used = mark
