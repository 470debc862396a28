# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One warp, straight from the raw thermal image onto the RGB grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from ivif_ros.errors import CalibrationError
from ivif_ros.registration.maps import map_planes
from ivif_ros.types import Array, Deformation, Size

if TYPE_CHECKING:
    import torch

FEATHER_PX = 6
"""RGB pixels over which the weight rises from 0 to 1 at the border of the thermal image."""

_SQUARE = cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


class _Prepared(NamedTuple):
    """What depends on the deformation alone."""

    deformation: Deformation
    resample: OpencvSampler | TorchSampler
    weight: torch.Tensor


class OpencvSampler:
    """Bilinear sampling on the CPU with fixed-point maps (1/32 px), several times faster there."""

    def __init__(self, x: Array, y: Array, covered: Array) -> None:
        """Take (H, W) float32 maps of thermal x and y, and where they count, see `covered_by`."""
        self._coarse, self._fine = cv2.convertMaps(x, y, cv2.CV_16SC2)
        self._covered = covered

    def __call__(self, thermal: torch.Tensor) -> torch.Tensor:
        """Sample (h, w) uint8 to (H, W) uint8, 0 outside."""
        import torch

        # The border pixel still covers half a pixel beyond its centre: no dark rims there.
        registered = cv2.remap(thermal.numpy(), self._coarse, self._fine, cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REPLICATE)
        return torch.from_numpy(cv2.bitwise_and(registered, self._covered, dst=registered))


class TorchSampler:
    """Bilinear sampling on any device."""

    def __init__(self, x: Array, y: Array, covered: Array, thermal_size: Size,
                 device: torch.device) -> None:
        """Take (H, W) float32 maps of thermal x and y, and where they count."""
        import torch

        # grid_sample counts from -1 to 1 between the outer edges of the outer pixels.
        width, height = thermal_size
        lattice = np.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], axis=-1)
        self._lattice = torch.from_numpy(lattice)[None].to(device)
        self._covered = torch.from_numpy(covered).to(device)

    def __call__(self, thermal: torch.Tensor) -> torch.Tensor:
        """Sample (h, w) uint8 to (H, W) uint8, 0 outside."""
        import torch

        registered = torch.nn.functional.grid_sample(
            thermal[None, None].float(), self._lattice, mode='bilinear', padding_mode='border',
            align_corners=False)
        return registered[0, 0].round_().clamp_(0, 255).to(torch.uint8) & self._covered


class Warper:
    """Resamples thermal images by a deformation; maps are rebuilt only when it changes."""

    def __init__(self, device: torch.device | str = 'cpu') -> None:
        """Warp on this device: OpenCV on the CPU, `grid_sample` elsewhere."""
        import torch

        self._device = torch.device(device)
        self._prepared: _Prepared | None = None

    def warp(self, thermal: torch.Tensor, deformation: Deformation,
             ) -> tuple[torch.Tensor, torch.Tensor]:
        """Resample a thermal image onto the RGB grid, bilinearly.

        Args:
            thermal: (h, w) uint8 on the device of this warper.
            deformation: backward map RGB -> thermal for images of these sizes.

        Returns:
            Registered image (H, W) uint8, 0 outside the thermal image, in memory of its own; and
            weight (H, W) float32, 0 outside the thermal image, rising to 1 within FEATHER_PX of
            its border. The weight is shared between calls: do not write to it.

        Raises:
            CalibrationError: the deformation is for thermal images of another size.
        """
        size = int(thermal.shape[1]), int(thermal.shape[0])
        if size != deformation.thermal_size:
            raise CalibrationError(
                f'thermal image is {size[0]}x{size[1]}, the deformation is for '
                f'{deformation.thermal_size[0]}x{deformation.thermal_size[1]} (use rescaled)')
        prepared = self._prepared_for(deformation)
        return prepared.resample(thermal), prepared.weight

    def weight(self, deformation: Deformation) -> torch.Tensor:
        """How far the thermal image reaches on the RGB grid; see the weight of `warp`."""
        return self._prepared_for(deformation).weight

    def _prepared_for(self, deformation: Deformation) -> _Prepared:
        if self._prepared is None or not _same_map(self._prepared.deformation, deformation):
            self._prepared = self._prepare(deformation)
        return self._prepared

    def _prepare(self, deformation: Deformation) -> _Prepared:
        import torch

        x, y = map_planes(deformation)
        covered = covered_by(x, y, deformation.thermal_size)
        sampler = (OpencvSampler(x, y, covered) if self._device.type == 'cpu' else
                   TorchSampler(x, y, covered, deformation.thermal_size, self._device))
        weight = torch.from_numpy(_feathered(covered)).to(self._device)
        return _Prepared(deformation, sampler, weight)


def _same_map(first: Deformation, second: Deformation) -> bool:
    """Whether two deformations share their (frozen) arrays; confidence may differ."""
    return first is second or (
        first.homography is second.homography and first.grid is second.grid
        and first.rgb_size == second.rgb_size and first.thermal_size == second.thermal_size)


def covered_by(x: Array, y: Array, thermal_size: Size) -> Array:
    """Where the thermal image reaches.

    Args:
        x: (H, W) float32 thermal x of each RGB pixel.
        y: likewise.
        thermal_size: width, height of the thermal image.

    Returns:
        (H, W) uint8, 255 where a thermal pixel covers the point (up to half a pixel beyond the
        outer centres), else 0.
    """
    inside = [cv2.inRange(plane, -0.5, length - 0.5)    # type: ignore[call-overload]
              for plane, length in zip((x, y), thermal_size, strict=True)]
    return np.asarray(cv2.bitwise_and(*inside))


def _feathered(covered: Array) -> Array:
    """Weight that rises with the distance from what is not covered.

    The border of the RGB image itself is no border of the thermal image: erosion does not start
    there.

    Args:
        covered: (H, W) uint8, 255 where the thermal image reaches, else 0.

    Returns:
        (H, W) float32 in 0..1, in steps of 1 / FEATHER_PX; octagons are as far as circles here.
    """
    if cv2.countNonZero(covered) == covered.size:
        return np.ones(covered.shape, np.float32)
    level = 255 // FEATHER_PX
    left = cv2.threshold(covered, 0, level, cv2.THRESH_BINARY)[1]
    total = left
    for step in range(1, FEATHER_PX):
        left = cv2.erode(left, _SQUARE if step % 2 else _CROSS)
        total = cv2.add(total, left)
    weight: Array = np.asarray(total, np.float32) * np.float32(1.0 / (level * FEATHER_PX))
    return weight
