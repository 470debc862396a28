#!/usr/bin/env python3
# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""First of the split nodes: two cameras in; thermal image on the RGB grid and deformation out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from ivif_ros.nodes.base import run
from ivif_ros.nodes.pipeline_node import RegisteringNode
from ivif_ros.types import FramePair


class RegistrationNode(RegisteringNode):
    """Lifecycle node that pairs and registers; fusion_node takes its outputs."""

    status_topic = 'registration/status'

    def __init__(self, **options: Any) -> None:
        """Declare the parameters; options go to rclpy's node."""
        super().__init__('registration_node', **options)

    def work(self, pair: FramePair) -> None:
        """Register one pair and publish what somebody listens to."""
        start_ns = time.monotonic_ns()
        pipeline = self.pipeline
        result = pipeline.register(pair)
        origin = self.origins.of(pair)
        image = None
        if result.thermal is not None and self.registered_wanted:
            image = result.thermal.cpu().numpy()
        done_ns = time.monotonic_ns()
        self.publish_registered(pair, image, result.deformation, origin)
        self.record(result, origin, start_ns, done_ns)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until the process is told to end."""
    return run(RegistrationNode, args)


if __name__ == '__main__':
    sys.exit(main())
