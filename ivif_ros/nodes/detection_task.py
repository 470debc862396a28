# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Detection beside the fused stream: a thread of its own that always takes the newest image."""

from __future__ import annotations

from dataclasses import dataclass

from sensor_msgs.msg import Image

from ivif_ros.detection import (
    DetectionPeriod,
    ObjectTracker,
    StreamDetector,
    draw,
    load_detector,
    load_tracker,
    to_thermal,
)
from ivif_ros.errors import MissingDependencyError, WeightsError
from ivif_ros.nodes.base import BaseNode
from ivif_ros.nodes.monitor import RateMonitor
from ivif_ros.nodes.publishers import Publishers, heard
from ivif_ros.nodes.worker import Worker
from ivif_ros.parameters import DetectionParameters
from ivif_ros.ros import qos
from ivif_ros.ros.diagnostics import Finding, Level
from ivif_ros.ros.messages import detections_message, image_message, label_info_message
from ivif_ros.ros.rclpy_messages import RclpyFactory
from ivif_ros.ros.stamping import Origin
from ivif_ros.types import Array, Deformation

WARM_UP_SIZE = 640, 480
NICENESS = 10
"""The detector gives way to the fused stream: where cores are few, it skips images."""


@dataclass(frozen=True, eq=False)
class _Picture:
    """What one detection needs.

    Attributes:
        image: (H, W, 3) uint8 BGR, not written to by anybody.
        origin: stamp and frames of the image.
        deformation: map to the thermal image, or None.
    """

    image: Array
    origin: Origin
    deformation: Deformation | None


class DetectionTask:
    """Publishes `detections`, `detections_thermal`, `detections/image` and `label_info`.

    Detections carry the stamp of the image on which they were made; images that come while the
    detector is busy are replaced by newer ones and counted as `detection.replaced`.

    Args:
        node: node that publishes.
        publishers: where the publishers are opened.
    """

    def __init__(self, node: BaseNode, publishers: Publishers) -> None:
        """Open the publishers."""
        self._node = node
        self._factory = RclpyFactory()
        self._params = DetectionParameters()
        self._detector: StreamDetector | None = None
        self._why_not = ''
        self._why_no_ids = ''
        self._period = DetectionPeriod()
        self._rate = RateMonitor()
        self._worker: Worker[_Picture] | None = None
        boxes = self._factory.message_class('vision_msgs/msg/Detection2DArray')
        self._boxes = publishers.open(boxes, 'detections', qos.record_output())
        self._thermal_boxes = publishers.open(boxes, 'detections_thermal', qos.record_output())
        self._overlay = publishers.open(Image, 'detections/image', qos.image_output())
        self._labels = publishers.open(
            self._factory.message_class('vision_msgs/msg/LabelInfo'), 'label_info',
            qos.latched_output())

    def load(self, params: DetectionParameters, device: str) -> None:
        """Load and warm up the detector; without one the node goes on and says once what to set.

        Raises:
            ParameterError: a class that the model does not know.
        """
        self._params = params
        self._why_not = 'set detection.weights to a model file'
        detector = None
        try:
            detector = load_detector(params, device)
        except (MissingDependencyError, WeightsError) as error:
            self._why_not = str(error)
        if detector is None:
            self._node.get_logger().warning(f'no detection: {self._why_not}')
        else:
            self._why_not = ''
            self._detector = StreamDetector(detector, self._load_tracker(params), params)
            self._detector.warm_up(WARM_UP_SIZE)

    def unload(self) -> None:
        """Free the memory of the detector."""
        self.stop()
        if self._detector is not None:
            self._detector.close()
            self._detector = None

    def start(self) -> None:
        """Publish the class names and start the thread."""
        if self._detector is None:
            return
        self._labels.publish(label_info_message(
            self._factory, self._detector.names, 0, self._params.confidence))
        self._period.reset()
        self._worker = Worker(
            'detection', self._detect, lambda error: self._node.report('detection', error),
            NICENESS)

    def stop(self) -> None:
        """End the thread."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def set_parameters(self, params: DetectionParameters) -> None:
        """Take new values.

        Raises:
            ParameterError: a class that the model does not know; nothing is changed then.
        """
        if self._detector is not None:
            self._detector.set_parameters(params)
        self._params = params

    @property
    def wanted(self) -> bool:
        """True where detection is on and somebody listens to what it finds."""
        return self._params.enabled and any(
            heard(publisher) for publisher in (self._boxes, self._thermal_boxes, self._overlay))

    def offer(self, image: Array, origin: Origin, deformation: Deformation | None) -> None:
        """Detect in an image if somebody listens and the last detection is long enough ago.

        Args:
            image: (H, W, 3) uint8 BGR that nobody writes to any more.
            origin: stamp and frames of the image.
            deformation: map from its pixels to those of the thermal image, or None.
        """
        if self._worker is None or not self.wanted:
            return
        if not self._period.due(origin.stamp_ns, self._params.period_ms):
            return
        if self._worker.put(_Picture(image, origin, deformation)):
            self._node.counters.add('detection.replaced')

    def finding(self) -> Finding:
        """State of the detection for the diagnostics."""
        if self._detector is None and not self._why_not:
            return Finding(Level.OK, 'inactive')
        if self._detector is None:
            configured = bool(self._params.weights)
            return Finding(Level.WARN if configured else Level.OK, f'off: {self._why_not}')
        values: dict[str, object] = {
            'rate [Hz]': self._rate.rate(), 'classes': len(self._detector.names)}
        if not self._params.enabled:
            return Finding(Level.OK, 'switched off (detection.enabled)', values)
        if not self.wanted:
            return Finding(Level.OK, 'idle, nobody listens', values)
        age = self._rate.age()
        if age is None:
            return Finding(Level.STALE, 'nothing detected in yet', values)
        values['age [s]'] = age
        if self._why_no_ids:
            return Finding(Level.WARN, f'detecting without track ids: {self._why_no_ids}', values)
        return Finding(Level.OK, 'detecting', values)

    def _load_tracker(self, params: DetectionParameters) -> ObjectTracker | None:
        """Load the tracker; without one the node still detects and says once what is missing."""
        self._why_no_ids = ''
        try:
            return load_tracker(params)
        except MissingDependencyError as error:
            self._why_no_ids = str(error)
            self._node.get_logger().warning(f'no track ids: {self._why_no_ids}')
        return None

    def _detect(self, picture: _Picture) -> None:
        assert self._detector is not None
        origin = picture.origin
        found = self._detector.detect(picture.image, origin.stamp_ns)
        self._rate.tick()
        if heard(self._boxes):
            self._boxes.publish(detections_message(
                self._factory, found, origin.stamp_ns, origin.frame_id))
        if heard(self._thermal_boxes) and picture.deformation is not None:
            self._thermal_boxes.publish(detections_message(
                self._factory, to_thermal(found, picture.deformation), origin.stamp_ns,
                origin.thermal_frame_id))
        if heard(self._overlay):
            self._overlay.publish(image_message(
                self._factory, draw(picture.image, found), 'bgr8', origin.stamp_ns,
                origin.frame_id))
