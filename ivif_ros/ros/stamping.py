# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which stamp and frame the outputs of a pair carry."""

from __future__ import annotations

from dataclasses import dataclass

from ivif_ros.types import CameraModel, FramePair, Size


@dataclass(frozen=True)
class Origin:
    """What outputs say about where they come from.

    Attributes:
        stamp_ns: time of exposure in the clock of the RGB camera.
        frame_id: optical frame whose pixels the image has.
        thermal_frame_id: optical frame of the thermal camera; empty where unknown.
        camera: intrinsics of that optical frame, or None.
    """

    stamp_ns: int
    frame_id: str
    thermal_frame_id: str
    camera: CameraModel | None


class OriginTracker:
    """Remembers the RGB camera for results that were made without it.

    Outputs carry stamp and frame of the RGB image. Without an RGB image they carry the stamp of the
    thermal image, shifted by the offsets into the RGB clock, and the RGB frame once it was seen.
    """

    def __init__(self) -> None:
        """Start without having seen a camera."""
        self._rgb_frame_id: str | None = None
        self._rgb_camera: CameraModel | None = None
        self._thermal_frame_id = ''

    def of(self, pair: FramePair) -> Origin:
        """Origin of the result of a pair; call once for each pair, in order."""
        if pair.thermal is not None:
            self._thermal_frame_id = pair.thermal.frame_id
        if pair.rgb is not None:
            self._rgb_frame_id, self._rgb_camera = pair.rgb.frame_id, pair.rgb.camera
            return Origin(pair.rgb.stamp_ns, pair.rgb.frame_id, self._thermal_frame_id,
                          pair.rgb.camera)
        assert pair.thermal is not None
        stamp_ns = max(pair.thermal.stamp_ns + round(pair.offset.in_use_ms * 1e6), 0)
        if self._rgb_frame_id is None:
            return Origin(stamp_ns, pair.thermal.frame_id, pair.thermal.frame_id,
                          pair.thermal.camera)
        return Origin(stamp_ns, self._rgb_frame_id, self._thermal_frame_id, self._rgb_camera)


def camera_for(camera: CameraModel | None, size: Size) -> CameraModel | None:
    """Intrinsics that fit an output image: its K follows its size (REP-104)."""
    return None if camera is None else camera.scaled_to(size)
