# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings, folders, videos and the simulator as streams of frames."""

from ivif_ros.frame_source import FrameSource
from ivif_ros.sources.factory import open_source

__all__ = ['FrameSource', 'open_source']
