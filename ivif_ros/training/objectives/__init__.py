# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Objectives that are more than a weighted sum of loss terms."""
