# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The newest believable camera_info of one camera, for the image size at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ivif_ros.errors import IvifError
from ivif_ros.ros.messages import camera_from_message
from ivif_ros.types import CameraModel, Size, same_aspect


class Intrinsics:
    """Turns camera_info, which comes with every image, into a camera model that rarely changes.

    Args:
        complain: called with a reason for the counters and a message about a camera_info that
            cannot be used.
    """

    def __init__(self, complain: Callable[[str, str], None]) -> None:
        """Start without intrinsics."""
        self._complain = complain
        self._key: tuple[object, ...] = ()
        self._camera: CameraModel | None = None
        self._problem: tuple[str, str] | None = None
        self._by_size: dict[Size, CameraModel | None] = {}

    @property
    def known(self) -> bool:
        """True where the newest camera_info could be used."""
        return self._camera is not None

    def update(self, message: Any) -> None:
        """Take a camera_info; one that is no good removes what an earlier one said."""
        key = (message.width, message.height, message.distortion_model, tuple(message.d),
               tuple(message.k), message.binning_x, message.binning_y, message.roi.x_offset,
               message.roi.y_offset, message.roi.width, message.roi.height)
        if key != self._key:
            self._key = key
            self._by_size.clear()
            self._camera, self._problem = None, None
            try:
                self._camera = camera_from_message(message)
            except IvifError as error:
                self._problem = 'bad_camera_info', f'camera_info is not used: {error}'
        if self._problem is not None:
            self._complain(*self._problem)

    def of(self, size: Size) -> CameraModel | None:
        """Camera model for images of a size; the same object until something changes.

        A camera_info of another aspect ratio is of another camera or mode and is not used.
        """
        camera = self._camera
        if camera is None or camera.size == size:
            return camera
        if size not in self._by_size:
            fits = same_aspect(camera.size, size)
            self._by_size = {size: camera.scaled_to(size) if fits else None}
        scaled = self._by_size[size]
        if scaled is None:
            self._complain(
                'contradictory_camera_info',
                f'camera_info is for {camera.width}x{camera.height} px, the image has '
                f'{size[0]}x{size[1]}, so it is not used; publish the one of this camera mode')
        return scaled
