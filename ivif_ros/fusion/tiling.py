# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Large images in overlapping tiles, for networks that would need too much memory for all at once.

Neighbouring tiles overlap by twice the context that the network needs plus a ramp, in which one
result fades into the other. A network whose receptive field fits into the context gives the same
picture as without tiles; one that looks at the whole image gives a smooth one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from ivif_ros.errors import ParameterError

Function = Callable[[Tensor, Tensor, 'Tensor | None'], Tensor]

RAMP = 32
"""Pixels in which the results of two tiles fade into each other."""

CPU_BUDGET = 512 * 2 ** 20
"""Memory for activations on a CPU: with PyTorch itself (up to 600 MB) and its scratch memory a
process stays well below 1.5 GB."""

PROBE = 128
"""Side of the image with which the need of a network is measured."""


class Tiling:
    """Cuts images for one network and puts the results together.

    Args:
        overlap: context in pixels that a tile needs on each side.
        multiple: tiles start and end at multiples of this, so that grids inside of the network
            agree.
        pixels: largest tile in pixels; smaller images are not cut.
        side: side of the tiles as somebody wishes; 0 for what `pixels` allows.
        fixed: (height, width) that the network takes and no other; None for any.
        pad: continue images that are not cut up to the multiple too; False for networks that do
            so themselves.

    Raises:
        ParameterError: tiles too small for the context.
    """

    def __init__(self, *, overlap: int, multiple: int, pixels: int, side: int = 0,
                 fixed: tuple[int, int] | None = None, pad: bool = False) -> None:
        """Check the tile."""
        self._multiple = multiple
        self._shared = 2 * overlap + RAMP
        self._fixed = fixed
        self._pad = pad
        least = _up(self._shared + 2 * multiple, multiple)
        if side and side < least and fixed is None:
            raise ParameterError(
                f'fusion.tile is {side}, but this method needs tiles of at least {least} pixels '
                f'({overlap} of context on each side); 0 chooses by itself')
        self._pixels = side * side if side else pixels
        side = _up(side, multiple) if side else math.isqrt(pixels) // multiple * multiple
        self._side = max(side, least)

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the tiles for an image; about its own where it is not cut."""
        if self._fixed:
            return self._fixed
        full = _up(height, self._multiple), _up(width, self._multiple)
        if height * width <= self._pixels or max(height, width) <= self._side:
            return full if self._pad else (height, width)
        return min(self._side, full[0]), min(self._side, full[1])

    def apply(self, function: Function, visible: Tensor, thermal: Tensor,
              weight: Tensor | None) -> Tensor:
        """Run a function of (1, n, H, W) planes tile by tile.

        Returns:
            (1, 1, H, W) float32.
        """
        height, width = visible.shape[-2:]
        shape = self.shape(height, width)
        if shape == (height, width):
            return function(visible, thermal, weight)
        multiples = (1, 1) if self._fixed else (self._multiple, self._multiple)
        full = [max(_up(length, multiple), tile) for length, multiple, tile in
                zip((height, width), multiples, shape, strict=True)]
        planes = [visible, thermal, weight]
        size = [height, width]
        if self._pad or self._fixed:
            padding = (0, full[1] - width, 0, full[0] - height)
            planes = [plane if plane is None else functional.pad(plane, padding, mode='replicate')
                      for plane in planes]
            size = full
        rows, columns = (
            _spans(size[axis], full[axis], shape[axis], multiples[axis], self._shared,
                   visible.device) for axis in (0, 1))
        fused = torch.zeros(1, 1, *size, device=visible.device)
        for top, (inner_y, ramp_y) in rows:
            for left, (inner_x, ramp_x) in columns:
                part = (..., slice(top, top + shape[0]), slice(left, left + shape[1]))
                cut: Any = [plane if plane is None else plane[part].contiguous()
                            for plane in planes]
                tile = function(*cut)[..., inner_y, inner_x]
                fused[part][..., inner_y, inner_x].add_(tile * (ramp_y[:, None] * ramp_x))
        return fused[..., :height, :width]


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _spans(length: int, full: int, tile: int, multiple: int, shared: int,
           device: torch.device) -> list[tuple[int, tuple[slice, Tensor]]]:
    """Tiles along one axis.

    Args:
        length: pixels of the image.
        full: the same rounded up to the multiple; the last tile may be that much shorter.
        tile: pixels of a tile.
        multiple: where tiles may start.
        shared: pixels that neighbours have in common.
        device: of the weights.

    Returns:
        For each its start, the part of it that counts, and with which weight; the weights of all
        tiles add up to 1 everywhere.
    """
    step = max(tile - shared - multiple, 1)
    count = -(-(full - tile) // step) + 1
    starts = [0] if count == 1 else [
        index * (full - tile) // (count - 1) // multiple * multiple for index in range(count)]
    position = torch.arange(length, device=device) + 0.5
    # Share that a tile and all that follow it have: 0 before the ramp, 1 behind it.
    shares = [torch.ones(length, device=device)]
    ramps = [0]
    for before, start in pairwise(starts):
        begin = (before + tile + start - RAMP) // 2
        shares.append(((position - begin) / RAMP).clamp(0, 1))
        ramps.append(begin)
    shares.append(torch.zeros(length, device=device))
    ramps.append(length - RAMP)
    spans = []
    for index, start in enumerate(starts):
        part = slice(ramps[index], ramps[index + 1] + RAMP)
        ramp = (shares[index] - shares[index + 1])[part]
        spans.append((start, (slice(part.start - start, part.stop - start), ramp)))
    return spans


def memory_budget(device: torch.device) -> int:
    """Bytes that the activations of a network may take: on CUDA a third of what is free."""
    if device.type == 'cpu':
        return CPU_BUDGET
    return int(torch.cuda.mem_get_info(device)[0]) // 3


@torch.inference_mode()
def bytes_per_pixel(function: Function, device: torch.device, channels: int = 1) -> float:
    """Measure the memory that a function of planes needs, its inputs left out.

    Counts the tensors that live at the same time; what libraries use inside of one operation does
    not show.
    """
    visible = torch.rand(1, channels, PROBE, PROBE, device=device)
    thermal = torch.rand(1, 1, PROBE, PROBE, device=device)
    with _PeakMemory() as memory:
        function(visible, thermal, None)
    return float(memory.peak) / PROBE ** 2


class _PeakMemory(TorchDispatchMode):
    """Watches the tensors that operations create."""

    def __init__(self) -> None:
        """Start with nothing."""
        super().__init__()
        self.peak: int = 0
        self._live: dict[StorageWeakRef, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep PyTorch from importing its compiler, which takes seconds, to exempt this class."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and add up the memory that lives after it."""
        result = func(*args, **(kwargs or {}))
        for item in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(item, Tensor):
                storage = item.untyped_storage()
                self._live[StorageWeakRef(storage)] = storage.nbytes()
        self._live = {ref: size for ref, size in self._live.items() if not ref.expired()}
        self.peak = max(self.peak, sum(self._live.values()))
        return result
