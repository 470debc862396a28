# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Images, deformation and status as topics; converted only for those who listen."""

from __future__ import annotations

from collections.abc import Mapping

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ivif_ros.nodes.base import BaseNode
from ivif_ros.nodes.publishers import Publishers, heard
from ivif_ros.ros import qos
from ivif_ros.ros.messages import (
    camera_info_message,
    compressed_message,
    deformation_message,
    image_message,
    status_message,
)
from ivif_ros.ros.rclpy_messages import RclpyFactory
from ivif_ros.ros.stamping import Origin, camera_for
from ivif_ros.ros.topics import image_topic
from ivif_ros.types import Array, Deformation, FusionResult, Mode, Outcome


class ImageOutput:
    """An image topic with its camera_info and, if asked for, its JPEG form.

    Args:
        node: node that publishes.
        publishers: where the publishers are opened.
        base: relative name of the image topic.
        encoding: encoding of the raw image.
        compressed: offer `<topic>/compressed` too.
        camera_info: offer `camera_info` beside the image; False where another image of the same
            camera does.
    """

    def __init__(self, node: BaseNode, publishers: Publishers, base: str, encoding: str, *,
                 compressed: bool = False, camera_info: bool = True) -> None:
        """Open the publishers."""
        self._encoding = encoding
        self._factory = RclpyFactory()
        self._image = publishers.open(Image, base, qos.image_output())
        self._info = publishers.open(
            CameraInfo, f"{base.rpartition('/')[0]}/camera_info", qos.image_output()
        ) if camera_info else None
        self._compressed = publishers.open(
            CompressedImage, image_topic(node, base, 'compressed'), qos.image_output()
        ) if compressed else None

    @property
    def wanted(self) -> bool:
        """True where somebody listens to the image in any form."""
        return heard(self._image) or (self._compressed is not None and heard(self._compressed))

    def publish(self, image: Array, origin: Origin, jpeg_quality: int) -> None:
        """Publish what somebody listens to.

        Args:
            image: (H, W, 3) uint8 BGR or (H, W) uint8 that nobody writes to any more.
            origin: stamp, frame and intrinsics.
            jpeg_quality: 1 to 100, of the compressed form.
        """
        if heard(self._image):
            self._image.publish(image_message(
                self._factory, image, self._encoding, origin.stamp_ns, origin.frame_id))
        if self._compressed is not None and heard(self._compressed):
            self._compressed.publish(compressed_message(
                self._factory, image, 'jpeg', jpeg_quality, origin.stamp_ns, origin.frame_id))
        if self._info is not None and heard(self._info):
            camera = camera_for(origin.camera, (image.shape[1], image.shape[0]))
            if camera is not None:
                self._info.publish(camera_info_message(
                    self._factory, camera, origin.stamp_ns, origin.frame_id))


class FusedOutput:
    """What fusion makes: topics `fused/image` (with camera_info and JPEG) and `fused/weight`.

    Args:
        node: node that publishes.
        publishers: where the publishers are opened.
    """

    def __init__(self, node: BaseNode, publishers: Publishers) -> None:
        """Open the publishers."""
        self._image = ImageOutput(node, publishers, 'fused/image', 'bgr8', compressed=True)
        self._weight = ImageOutput(node, publishers, 'fused/weight', 'mono8', camera_info=False)

    @property
    def weight_wanted(self) -> bool:
        """True where somebody listens to the share of the thermal image."""
        return self._weight.wanted

    def publish(self, result: FusionResult, origin: Origin, jpeg_quality: int) -> None:
        """Publish what somebody listens to.

        Args:
            result: what the pipeline made of a pair.
            origin: stamp, frame and intrinsics of its RGB image.
            jpeg_quality: 1 to 100, of the compressed form.
        """
        self._image.publish(result.fused, origin, jpeg_quality)
        if result.contribution is not None:
            self._weight.publish(result.contribution, origin, jpeg_quality)


class DeformationOutput:
    """Topic `deformation`.

    Args:
        publishers: where the publisher is opened.
    """

    def __init__(self, publishers: Publishers) -> None:
        """Open the publisher."""
        self._factory = RclpyFactory()
        self._publisher = publishers.open(
            self._factory.message_class('ivif_ros/msg/Deformation'), 'deformation',
            qos.record_output())

    def publish(self, deformation: Deformation, origin: Origin) -> None:
        """Publish where somebody listens."""
        if heard(self._publisher):
            self._publisher.publish(deformation_message(
                self._factory, deformation, origin.stamp_ns, origin.frame_id,
                origin.thermal_frame_id))


class StatusOutput:
    """A status topic, and the totals that it tells.

    Args:
        publishers: where the publisher is opened.
        topic: relative name.
    """

    def __init__(self, publishers: Publishers, topic: str) -> None:
        """Open the publisher; totals start at zero."""
        self._factory = RclpyFactory()
        self._publisher = publishers.open(
            self._factory.message_class('ivif_ros/msg/Status'), topic, qos.record_output())
        self.reset()

    @property
    def totals(self) -> dict[str, int]:
        """Pairs since the last reset."""
        return {'pairs_in': self._fused + self._partial, 'pairs_fused': self._fused,
                'pairs_partial': self._partial}

    def reset(self) -> None:
        """Count from zero."""
        self._fused = self._partial = 0

    def publish(self, result: Outcome, origin: Origin, dropped: Mapping[str, int]) -> None:
        """Count a result and publish its record."""
        self._fused += result.mode is Mode.FUSED
        self._partial += result.mode is not Mode.FUSED
        if heard(self._publisher):
            self._publisher.publish(status_message(
                self._factory, result, origin.stamp_ns, origin.frame_id, **self.totals,
                dropped=dropped))
