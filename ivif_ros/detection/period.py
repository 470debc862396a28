# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""How often objects are looked for in a stream of images."""

from __future__ import annotations


class DetectionPeriod:
    """Chooses images of a stream by their stamps, so that live and offline choose alike."""

    def __init__(self) -> None:
        """Start without an image."""
        self._last_ns: int | None = None

    def due(self, stamp_ns: int, period_ms: float) -> bool:
        """Tell whether to detect in an image; where it is, the period starts again with it.

        Args:
            stamp_ns: stamp of the image in nanoseconds; one that goes back is due at once.
            period_ms: `detection.period_ms`.
        """
        last = self._last_ns
        if last is not None and 0 <= stamp_ns - last < period_ms * 1e6:
            return False
        self._last_ns = stamp_ns
        return True

    def reset(self) -> None:
        """Forget the last image: the next one is due."""
        self._last_ns = None
