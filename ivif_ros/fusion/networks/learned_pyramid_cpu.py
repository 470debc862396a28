# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""`LearnedPyramid` on a CPU: OpenCV filters the large planes, in memory that is used again.

The arithmetic is that of `LearnedPyramid.forward`. A network library would spend most of the time
on planes of the full size, for which OpenCV's filters are several times faster than convolutions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from ivif_ros.fusion.arena import Arena
from ivif_ros.fusion.networks.learned_pyramid import (
    ENERGY_FLOOR,
    LEVELS,
    MAX_GAIN,
    SLOPE,
    log_energy,
)
from ivif_ros.fusion.resample import detail_energies, double, halve, halve_box, pad_to_multiple

if TYPE_CHECKING:
    from ivif_ros.fusion.networks.learned_pyramid import LearnedPyramid


class DeployedPyramid:
    """Callable `(visible, thermal, weight) -> fused` on (1, 1, H, W) float32 planes of a CPU."""

    def __init__(self, network: LearnedPyramid) -> None:
        """Keep the network; memory is made with the first pair."""
        self._network = network
        self._arena = Arena(torch.device('cpu'))
        self._heard: list[int] = [layer.weight.shape[0] for layer in network.hear]  # type: ignore
        self._filters = [layer.weight.contiguous(memory_format=torch.channels_last)  # type: ignore
                         for layer in network.look]

    @torch.inference_mode()
    def __call__(self, visible: Tensor, thermal: Tensor, weight: Tensor | None = None) -> Tensor:
        """Fuse luma planes, see `LearnedPyramid.forward`; the result holds until the next call."""
        network, arena = self._network, self._arena
        arena.restart()
        height, width = visible.shape[-2:]
        planes = torch.cat((visible[0], thermal[0]), out=arena.empty(2, height, width))
        planes = pad_to_multiple(planes, network.MULTIPLE)
        details: list[Tensor] = []
        features: list[Tensor] = []
        for level in range(LEVELS):
            coarse = halve(planes, arena)
            detail = double(coarse, arena)
            torch.sub(planes, detail, out=detail)
            details.append(detail)
            features.append(self._features(level, detail, coarse, features))
            planes = coarse

        last = self._heard[-1]
        hidden, fused = network.oversee(features[-1][None, last:], planes[None])
        hidden, fused = hidden[0], fused[0]
        for level in reversed(range(LEVELS)):
            heard = features[level][:self._heard[level]]
            with arena.scratch():
                told = self._mix(network.hear[level], hidden)
                if level < LEVELS - 1:
                    double(told, arena, out=heard)
                else:
                    heard.copy_(told)
            hidden = (self._look(level, features[level]) if level
                      else self._mix(network.look[level], features[level]))
            functional.leaky_relu_(hidden, SLOPE)
            gains = self._mix(network.gain[level], hidden).sigmoid_().mul_(MAX_GAIN)
            fused = double(fused, arena)
            with arena.scratch():
                gains = double(gains, arena)
                for gain, detail in zip(gains, details[level], strict=True):
                    fused[0].addcmul_(gain, detail)
        return fused[None, :, :height, :width]

    def _look(self, level: int, planes: Tensor) -> Tensor:
        """Apply the 3x3 convolution of a level; with pixels in rows of channels it is faster."""
        layer: Any = self._network.look[level]
        padded = functional.pad(planes[None], (1, 1, 1, 1), mode='replicate')
        return functional.conv2d(padded.contiguous(memory_format=torch.channels_last),
                                 self._filters[level], layer.bias)[0]

    def _mix(self, layer: Any, planes: Tensor) -> Tensor:
        """Apply a 1x1 convolution to planes (c, h, w), as the matrix product that it is."""
        outputs, (_, height, width) = layer.weight.shape[0], planes.shape
        out = self._arena.empty(outputs, height, width)
        torch.addmm(layer.bias[:, None], layer.weight[:, :, 0, 0],
                    planes.reshape(-1, height * width), out=out.view(outputs, -1))
        return out

    def _features(self, level: int, detail: Tensor, coarse: Tensor, finer: list[Tensor]) -> Tensor:
        """Features of a level behind room for what the coarser level will say, (c, h, w)."""
        arena, heard = self._arena, self._heard[level]
        _, height, width = coarse.shape
        out = arena.empty(heard + 5 + 2 * level, height, width)
        correlation, images, logs = out[heard], out[heard + 1:heard + 3], out[heard + 3:]
        with arena.scratch():
            energy = arena.empty(3, height, width)
            detail_energies(detail, arena, energy)
            torch.mul(energy[0], energy[1], out=correlation).add_(ENERGY_FLOOR ** 2)
            correlation.rsqrt_().mul_(energy[2])
            images.copy_(coarse)
            if level:
                inner = finer[-1][self._heard[level - 1] + 3:]
                logs[:-2] = halve_box(inner, arena)
            logs[-2:] = log_energy(energy[:2])
        return out
