# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Which of the two cameras can be trusted."""

from ivif_ros.health.camera import CameraHealth, HealthState

__all__ = ['CameraHealth', 'HealthState']
