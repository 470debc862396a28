# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings: reading them as streams of frames, writing results, and replaying one into the other."""
