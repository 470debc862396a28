#!/usr/bin/env python3
# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Second of the split nodes: RGB image and thermal image on its grid in, fused image out."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Sequence
from typing import Any

from ivif_ros.nodes.base import run
from ivif_ros.nodes.deformation_input import DeformationInput
from ivif_ros.nodes.outputs import FusedOutput
from ivif_ros.nodes.pipeline_node import PipelineNode
from ivif_ros.parameters import Parameters, SyncParameters, replace
from ivif_ros.pipeline import Pipeline
from ivif_ros.ros.diagnostics import Diagnostics
from ivif_ros.types import FramePair

REGISTRATION_MS = 100.0
"""How much longer than the pairing itself an RGB image waits for the registration node."""


class FusionNode(PipelineNode):
    """Lifecycle node that fuses what registration_node has registered."""

    thermal_base = 'thermal_registered/image'

    def __init__(self, **options: Any) -> None:
        """Declare the parameters; options go to rclpy's node."""
        super().__init__('fusion_node', **options)
        self._deformations: DeformationInput | None = None

    @property
    def thermal_transport(self) -> str:
        """The registered image comes raw, whatever the camera sends."""
        return 'raw'

    def sync_params(self, params: Parameters) -> SyncParameters:
        """Partners carry the same stamp, in the clock of the RGB camera."""
        return dataclasses.replace(
            params.sync, pairing='match', tolerance_ms=0.0, rgb_offset_ms=0.0,
            thermal_offset_ms=0.0, offset_estimation='off',
            max_wait_ms=params.sync.max_wait_ms + REGISTRATION_MS)

    def load(self, params: Parameters) -> Pipeline:
        """Load the pipeline without calibration, which is for the registration node."""
        return super().load(replace(params, {'registration.calibration': ''}))

    def open_outputs(self, params: Parameters, diagnostics: Diagnostics) -> None:
        """Open what fusion makes, and the status."""
        super().open_outputs(params, diagnostics)
        self._fused = FusedOutput(self, self.outlets)
        diagnostics.add('fusion', self.fusion_finding)

    def start(self) -> None:
        """Start the worker, then listen."""
        self._deformations = DeformationInput(self)
        super().start()

    def stop(self) -> None:
        """Listen no more, end the worker and free the device."""
        super().stop()
        if self._deformations is not None:
            self._deformations.close()
            self._deformations = None

    def work(self, pair: FramePair) -> None:
        """Fuse one pair and publish what somebody listens to."""
        start_ns = time.monotonic_ns()
        assert self._deformations is not None
        pipeline = self.pipeline
        deformation = self._deformations.of(pair.stamp_ns) if pair.thermal is not None else None
        result = pipeline.fuse(
            pipeline.take_registered(pair, deformation), contribution=self._fused.weight_wanted)
        origin = self.origins.of(pair)
        done_ns = time.monotonic_ns()
        self._fused.publish(result, origin, self.params.output.jpeg_quality)
        self.record(result, origin, start_ns, done_ns)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until the process is told to end."""
    return run(FusionNode, args)


if __name__ == '__main__':
    sys.exit(main())
