#!/usr/bin/env python3
# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Everything in one process: two cameras in; fused image, deformation and detections out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from ivif_ros.nodes.base import run
from ivif_ros.nodes.detection_task import DetectionTask
from ivif_ros.nodes.outputs import FusedOutput
from ivif_ros.nodes.pipeline_node import RegisteringNode
from ivif_ros.parameters import Parameters
from ivif_ros.pipeline import Pipeline
from ivif_ros.ros.diagnostics import Diagnostics
from ivif_ros.types import FramePair


class IvifNode(RegisteringNode):
    """Lifecycle node that runs the whole pipeline, and the detection beside it."""

    def __init__(self, **options: Any) -> None:
        """Declare the parameters; options go to rclpy's node."""
        super().__init__('ivif_node', **options)
        self._detection: DetectionTask | None = None

    def open_outputs(self, params: Parameters, diagnostics: Diagnostics) -> None:
        """Open fused image and detections, beside what the registration publishes."""
        super().open_outputs(params, diagnostics)
        self._fused = FusedOutput(self, self.outlets)
        self._detection = DetectionTask(self, self.outlets)
        diagnostics.add('fusion', self.fusion_finding)
        diagnostics.add('detection', self._detection.finding)

    def load(self, params: Parameters) -> Pipeline:
        """Load pipeline and detector."""
        pipeline = super().load(params)
        assert self._detection is not None
        try:
            self._detection.load(params.detection, pipeline.device)
        except Exception:
            pipeline.close()
            raise
        return pipeline

    def unload(self) -> None:
        """Free the device."""
        if self._detection is not None:
            self._detection.unload()
        super().unload()

    def start(self) -> None:
        """Start the threads, then listen."""
        super().start()
        if self._detection is not None:
            self._detection.start()

    def teardown(self) -> None:
        """Free the device, close services and publishers."""
        super().teardown()
        self._detection = None

    def change_parameters(self, old: Parameters, new: Parameters) -> None:
        """Hand new values to detector, pipeline and pairing; where one refuses, nothing changes."""
        if self._detection is not None and new.detection != old.detection:
            self._detection.set_parameters(new.detection)
        try:
            super().change_parameters(old, new)
        except Exception:
            if self._detection is not None:
                self._detection.set_parameters(old.detection)
            raise

    def work(self, pair: FramePair) -> None:
        """Run the pipeline on one pair and publish what somebody listens to."""
        start_ns = time.monotonic_ns()
        pipeline = self.pipeline
        result = pipeline.process(pair, contribution=self._fused.weight_wanted)
        origin = self.origins.of(pair)
        done_ns = time.monotonic_ns()
        self._fused.publish(result, origin, self.params.output.jpeg_quality)
        self.publish_registered(
            pair, result.thermal_registered, result.deformation, origin)
        if self._detection is not None:
            self._detection.offer(result.fused, origin, result.deformation)
        self.record(result, origin, start_ns, done_ns)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until the process is told to end."""
    return run(IvifNode, args)


if __name__ == '__main__':
    sys.exit(main())
