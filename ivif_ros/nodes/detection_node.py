#!/usr/bin/env python3
# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Third of the split nodes: fused image in, detections out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ivif_ros.fusion.device import select_device
from ivif_ros.nodes.base import BaseNode, run
from ivif_ros.nodes.deformation_input import DeformationInput
from ivif_ros.nodes.detection_task import DetectionTask
from ivif_ros.nodes.findings import memory_finding
from ivif_ros.nodes.inputs import CameraInput
from ivif_ros.nodes.publishers import Publishers
from ivif_ros.parameters import Parameters
from ivif_ros.ros.diagnostics import Diagnostics, Finding, Level
from ivif_ros.ros.stamping import Origin
from ivif_ros.types import Frame


class DetectionNode(BaseNode):
    """Lifecycle node that finds objects in any image topic, by default that of the fusion."""

    def __init__(self, **options: Any) -> None:
        """Declare the parameters; options go to rclpy's node."""
        super().__init__('detection_node', **options)
        self._outlets = Publishers(self)
        self._task: DetectionTask | None = None
        self._image: CameraInput | None = None
        self._deformations: DeformationInput | None = None
        self._loaded = False
        self._device = ''

    def setup(self, params: Parameters, diagnostics: Diagnostics) -> None:
        """Load the detector and open the outputs."""
        self._task = DetectionTask(self, self._outlets)
        diagnostics.add('rgb input', self._input_finding)
        diagnostics.add('detection', self._task.finding)
        diagnostics.add('device memory', lambda: memory_finding(self._device))
        self._load(params)

    def start(self) -> None:
        """Start the thread, then listen."""
        assert self._task is not None
        if not self._loaded:
            self._load(self.params)
        self._task.start()
        self._deformations = DeformationInput(self)
        self._image = CameraInput(self, 'rgb', 'fused/image', 'raw', self._on_frame)

    def stop(self) -> None:
        """Listen no more, end the thread and free the device."""
        if self._image is not None:
            self._image.close()
            self._image = None
        if self._deformations is not None:
            self._deformations.close()
            self._deformations = None
        self._unload()

    def teardown(self) -> None:
        """Free the device and close the outputs."""
        self._unload()
        self._task = None
        self._outlets.close()

    def change_parameters(self, old: Parameters, new: Parameters) -> None:
        """Hand new values to the detector."""
        if self._task is not None:
            self._task.set_parameters(new.detection)

    def _load(self, params: Parameters) -> None:
        assert self._task is not None
        self._device = str(select_device(params.fusion.device)[0])
        self._task.load(params.detection, self._device)
        self._loaded = True

    def _unload(self) -> None:
        self._loaded = False
        if self._task is not None:
            self._task.unload()

    def _on_frame(self, frame: Frame) -> None:
        assert self._task is not None
        assert self._deformations is not None
        origin = Origin(frame.stamp_ns, frame.frame_id, self._deformations.thermal_frame_id,
                        frame.camera)
        self._task.offer(frame.image, origin, self._deformations.of(frame.stamp_ns))

    def _input_finding(self) -> Finding:
        return Finding(Level.OK, 'inactive') if self._image is None else self._image.finding()


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until the process is told to end."""
    return run(DetectionNode, args)


if __name__ == '__main__':
    sys.exit(main())
