# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings: read as streams of frames, written with results, and replayed into each other."""
