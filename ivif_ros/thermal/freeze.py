# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Cameras that repeat the same image: shutter (FFC, NUC), cable, driver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ivif_ros.parameters import ThermalParameters
from ivif_ros.thermal.timing import elapsed_ns
from ivif_ros.types import Array, check_image

_STRIDE = 8


@dataclass(frozen=True)
class FreezeState:
    """What the newest image says.

    Attributes:
        repeated: True where the image equals the one before in every pixel.
        frozen: True where it has been repeated for `freeze_ms` or longer.
        since_ns: stamp of the first image with this content.
    """

    repeated: bool
    frozen: bool
    since_ns: int


class FreezeDetector:
    """Notices that new stamps come with old images.

    Sensor noise makes two honest thermal images differ, so equality of all pixels means
    repetition. A sparse grid of pixels is compared first; only where it is equal the whole image
    is. An image is copied, never kept by reference, because drivers reuse their buffers.
    """

    def __init__(self, params: ThermalParameters) -> None:
        """Start without an image."""
        self.set_parameters(params)
        self.reset()

    def set_parameters(self, params: ThermalParameters) -> None:
        """Take a new `freeze_ms`; the history stays."""
        self._freeze_ns = round(params.freeze_ms * 1e6)

    def reset(self) -> None:
        """Forget the last image."""
        self._last: Array | None = None
        self._stamp_ns = 0
        self._repeated_ns = 0
        self._state = FreezeState(False, False, 0)

    def update(self, image: Array, stamp_ns: int) -> FreezeState:
        """Compare an image with the one before.

        A frame that is shown again under its own stamp (a held frame) tells nothing new about the
        camera and returns the state as it was. After a jump back of the stamps the count starts
        anew.

        Args:
            image: (H, W) uint8, uint16 or float32, or (H, W, 3) uint8.
            stamp_ns: its stamp in nanoseconds.

        Raises:
            ImageError: another shape or dtype, or an empty image.
        """
        check_image(image, 'thermal image')
        elapsed = elapsed_ns(self._stamp_ns, stamp_ns)
        if self._last is not None and elapsed == 0:
            return self._state
        # NaN equals nothing, but its bits do.
        bits = image.view(np.uint32) if image.dtype == np.float32 else image
        if self._last is not None and elapsed > 0 and self._equals(self._last, bits):
            self._repeated_ns += elapsed
            self._state = FreezeState(
                True, self._repeated_ns >= self._freeze_ns, self._state.since_ns)
        else:
            self._keep(bits)
            self._repeated_ns = 0
            self._state = FreezeState(False, False, stamp_ns)
        self._stamp_ns = stamp_ns
        return self._state

    @staticmethod
    def _equals(last: Array, image: Array) -> bool:
        if last.shape != image.shape or last.dtype != image.dtype:
            return False
        if not np.array_equal(last[::_STRIDE, ::_STRIDE], image[::_STRIDE, ::_STRIDE]):
            return False
        return np.array_equal(last, image)

    def _keep(self, image: Array) -> None:
        if self._last is None or self._last.shape != image.shape or (
                self._last.dtype != image.dtype):
            self._last = np.empty(image.shape, image.dtype)
        np.copyto(self._last, image)
