# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Figures of quality: of fused images and videos, registration, detection and segmentation."""
