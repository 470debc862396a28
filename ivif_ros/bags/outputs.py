# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Results of the pipeline as messages in a recording, on the topics of the live node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ivif_ros.bags.writer import BagWriter
from ivif_ros.detection import to_thermal
from ivif_ros.parameters import Parameters
from ivif_ros.ros.encodings import encoding_of
from ivif_ros.ros.message_factory import MessageFactory
from ivif_ros.ros.messages import (
    camera_info_message,
    compressed_message,
    deformation_message,
    detections_message,
    image_message,
    label_info_message,
    status_message,
)
from ivif_ros.ros.rosbags_messages import RosbagsFactory
from ivif_ros.ros.stamping import Origin, OriginTracker, camera_for
from ivif_ros.types import Array, Deformation, Detections, FusionResult, Mode

Compression = Literal['none', 'png', 'jpeg', 'webp']


class ImageWriter:
    """Writes images of one topic, raw or compressed.

    Args:
        writer: the recording.
        factory: makes the messages.
        topic: name of the raw image; compressed ones go to `<topic>/compressed`.
        compression: how to compress. 16-bit images are compressed as PNG whatever is asked for, and
            float images stay raw: JPEG and WebP cannot hold them.
        quality: 1 to 100 for jpeg and webp.
    """

    def __init__(self, writer: BagWriter, factory: MessageFactory, topic: str, *,
                 compression: Compression = 'none', quality: int = 85) -> None:
        """Keep the settings."""
        self._writer = writer
        self._factory = factory
        self._topic = topic
        self._compression = compression
        self._quality = quality

    def write(self, image: Array, stamp_ns: int, frame_id: str, received_ns: int) -> None:
        """Write one image.

        Args:
            image: (H, W, 3) uint8 BGR, or (H, W) uint8, uint16 or float32.
            stamp_ns: stamp of the header.
            frame_id: frame of the header.
            received_ns: receive time in nanoseconds.

        Raises:
            OutputError: it cannot be written.
        """
        if self._compression == 'none' or image.dtype.kind == 'f':
            self._writer.write(self._topic, image_message(
                self._factory, image, encoding_of(image), stamp_ns, frame_id), received_ns)
            return
        kind = 'png' if image.dtype.itemsize > 1 else self._compression
        self._writer.write(f'{self._topic}/compressed', compressed_message(
            self._factory, image, kind, self._quality, stamp_ns, frame_id), received_ns)


class ResultWriter:
    """Writes fused images and everything that is known about them.

    Args:
        writer: the recording.
        params: all parameters (offsets of the clocks, quality of compressed images).
        compression: how to compress the images.
    """

    def __init__(self, writer: BagWriter, params: Parameters, *,
                 compression: Compression = 'none') -> None:
        """Prepare the topics."""
        self._writer = writer
        self._params = params
        self._factory = RosbagsFactory()
        self._origins = OriginTracker()
        self._origin: Origin | None = None
        self._fused, self._registered, self._weight = (
            ImageWriter(writer, self._factory, topic, compression=compression,
                        quality=params.output.jpeg_quality)
            for topic in ('fused/image', 'thermal_registered/image', 'fused/weight'))
        self._pairs_in = self._pairs_fused = 0
        self._labels: dict[int, str] | None = None

    def write(self, result: FusionResult, received_ns: int) -> None:
        """Write images, deformation and detections of one result; call once for each, in order.

        The share of the thermal image (`fused/weight`) is written where the result has it.

        Args:
            result: what the pipeline made of a pair.
            received_ns: receive time in nanoseconds, in the clock of the source.

        Raises:
            OutputError: it cannot be written.
        """
        writer, factory = self._writer, self._factory
        origin = self._origin = self._origins.of(result.pair)
        stamp_ns, frame_id = origin.stamp_ns, origin.frame_id
        height, width = result.fused.shape[:2]
        camera = camera_for(origin.camera, (width, height))
        # camera_info goes first, so that who reads in order knows it when the image comes.
        if camera is not None:
            info = camera_info_message(factory, camera, stamp_ns, frame_id)
            writer.write('fused/camera_info', info, received_ns)
            if result.thermal_registered is not None:
                writer.write('thermal_registered/camera_info', info, received_ns)
        self._fused.write(result.fused, stamp_ns, frame_id, received_ns)
        if result.contribution is not None:
            self._weight.write(result.contribution, stamp_ns, frame_id, received_ns)
        if result.thermal_registered is not None:
            self._registered.write(result.thermal_registered, stamp_ns, frame_id, received_ns)
        if result.deformation is not None:
            writer.write('deformation', deformation_message(
                factory, result.deformation, stamp_ns, frame_id, origin.thermal_frame_id),
                received_ns)
        if result.detections is not None:
            self._write_detections(origin, result.detections, result.deformation, received_ns)

    def write_status(self, result: FusionResult, received_ns: int,
                     dropped: Mapping[str, int]) -> None:
        """Write the record of the result that was written last.

        Args:
            result: the same result, with all its latencies.
            received_ns: receive time in nanoseconds, in the clock of the source.
            dropped: counts of what gave no output so far, by reason.

        Raises:
            OutputError: it cannot be written.
        """
        assert self._origin is not None
        self._pairs_in += 1
        self._pairs_fused += result.mode is Mode.FUSED
        self._writer.write('status', status_message(
            self._factory, result, self._origin.stamp_ns, self._origin.frame_id,
            pairs_in=self._pairs_in, pairs_fused=self._pairs_fused,
            pairs_partial=self._pairs_in - self._pairs_fused, dropped=dropped), received_ns)

    def _write_detections(self, origin: Origin, found: Detections,
                          deformation: Deformation | None, received_ns: int) -> None:
        stamp_ns = origin.stamp_ns
        if self._labels != found.names:
            self._labels = dict(found.names)
            self._writer.write('label_info', label_info_message(
                self._factory, found.names, stamp_ns), received_ns, latched=True)
        self._writer.write('detections', detections_message(
            self._factory, found, stamp_ns, origin.frame_id), received_ns)
        if deformation is not None:
            self._writer.write('detections_thermal', detections_message(
                self._factory, to_thermal(found, deformation), stamp_ns,
                origin.thermal_frame_id), received_ns)
