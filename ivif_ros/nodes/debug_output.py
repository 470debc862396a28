# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A picture of the registration as a topic, drawn beside the stream and only for listeners."""

from __future__ import annotations

from dataclasses import dataclass

from ivif_ros.nodes.base import BaseNode
from ivif_ros.nodes.outputs import ImageOutput
from ivif_ros.nodes.publishers import Publishers
from ivif_ros.nodes.worker import Worker
from ivif_ros.registration.pictures import debug_picture
from ivif_ros.ros.stamping import Origin
from ivif_ros.types import Array, Deformation


@dataclass(frozen=True, eq=False)
class _Registered:
    """What one picture shows.

    Attributes:
        rgb: (H, W, 3) uint8 BGR, not written to by anybody.
        thermal: (H, W) uint8 on the RGB grid, not written to by anybody.
        deformation: map that laid it there.
        origin: stamp and frame of the RGB image.
        jpeg_quality: 1 to 100, of the compressed form.
    """

    rgb: Array
    thermal: Array
    deformation: Deformation
    origin: Origin
    jpeg_quality: int


class RegistrationDebugOutput:
    """Topic `registration/debug`: squares, edges and displacement of the newest pair.

    Drawing takes longer than a frame lasts, so it has a thread of its own: watching does not slow
    what is watched. Pairs that come meanwhile are replaced by newer ones and counted as
    `registration.debug_replaced`.

    Args:
        node: node that publishes.
        publishers: where the publishers are opened.
    """

    def __init__(self, node: BaseNode, publishers: Publishers) -> None:
        """Open the publishers."""
        self._node = node
        self._output = ImageOutput(
            node, publishers, 'registration/debug', 'bgr8', compressed=True, camera_info=False)
        self._worker: Worker[_Registered] | None = None

    @property
    def wanted(self) -> bool:
        """True where somebody listens."""
        return self._output.wanted

    def start(self) -> None:
        """Start the thread."""
        self._worker = Worker(
            'registration_debug', self._draw,
            lambda error: self._node.report('registration.debug', error))

    def stop(self) -> None:
        """End the thread."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def offer(self, rgb: Array, thermal: Array, deformation: Deformation, origin: Origin,
              jpeg_quality: int) -> None:
        """Draw and publish if somebody listens.

        Args:
            rgb: (H, W, 3) uint8 BGR that nobody writes to any more.
            thermal: (H, W) uint8 thermal image on its grid that nobody writes to any more.
            deformation: map that laid it there.
            origin: stamp and frame of the RGB image.
            jpeg_quality: 1 to 100, of the compressed form.
        """
        if self._worker is None or not self.wanted:
            return
        if self._worker.put(_Registered(rgb, thermal, deformation, origin, jpeg_quality)):
            self._node.counters.add('registration.debug_replaced')

    def _draw(self, item: _Registered) -> None:
        picture = debug_picture(item.rgb, item.thermal, item.deformation)
        self._output.publish(picture, item.origin, item.jpeg_quality)
