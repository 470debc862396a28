# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Detection in the images of one stream, one after the other."""

from __future__ import annotations

from ivif_ros.detection.base import Detector
from ivif_ros.detection.tracking import ObjectTracker
from ivif_ros.parameters import DetectionParameters
from ivif_ros.types import Array, Detections, Size


class StreamDetector:
    """A detector, and the tracker of what it finds where there is one.

    Args:
        detector: finds the objects of each image; closed together with this.
        tracker: gives them their ids, or None.
        params: thresholds and classes.
    """

    def __init__(self, detector: Detector, tracker: ObjectTracker | None,
                 params: DetectionParameters) -> None:
        """Ask the detector for the scores that the tracker needs."""
        self._detector = detector
        self._tracker = tracker
        self.set_parameters(params)

    @property
    def names(self) -> dict[int, str]:
        """Class names by id."""
        return self._detector.names

    def set_parameters(self, params: DetectionParameters) -> None:
        """Take new thresholds and classes.

        Raises:
            ParameterError: a class name that the model does not know; nothing is changed then.
        """
        if self._tracker is None:
            self._detector.set_parameters(params)
            return
        self._detector.set_parameters(self._tracker.search(params))
        self._tracker.set_parameters(params)

    def detect(self, bgr: Array, stamp_ns: int) -> Detections:
        """Find the objects in the next image of the stream.

        Args:
            bgr: (H, W, 3) uint8.
            stamp_ns: stamp of the image in nanoseconds.

        Returns:
            Boxes in pixels of that image, best score first; with track ids where
            there is a tracker.

        Raises:
            ImageError: the image has another shape or dtype.
        """
        found = self._detector.detect(bgr)
        return found if self._tracker is None else self._tracker.update(found, bgr, stamp_ns)

    def reset(self) -> None:
        """Forget the objects: the next image begins another stream."""
        if self._tracker is not None:
            self._tracker.reset()

    def warm_up(self, size: Size) -> None:
        """Run the detector once on an empty image of this width and height."""
        self._detector.warm_up(size)

    def close(self) -> None:
        """Free the memory of the model."""
        self._detector.close()
