# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Between ROS and the core: images, messages, parameters, QoS, topics, TF and diagnostics."""
