# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 nodes: one that does everything, the same stages as three, and those of the demo."""
