# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Objects in the fused image: models behind one interface, boxes in both images, overlay."""

from ivif_ros.detection.base import Detector, load_detector
from ivif_ros.detection.mapping import to_thermal
from ivif_ros.detection.overlay import draw
from ivif_ros.detection.period import DetectionPeriod
from ivif_ros.detection.stream import StreamDetector
from ivif_ros.detection.tracking import ObjectTracker, load_tracker

__all__ = ['DetectionPeriod', 'Detector', 'ObjectTracker', 'StreamDetector', 'draw',
           'load_detector', 'load_tracker', 'to_thermal']
