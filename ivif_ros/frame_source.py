# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What every source of frames offers: recordings, folders, videos and the simulator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType

from ivif_ros.counters import Counters
from ivif_ros.types import Array, Frame, Sensor

RGB_FRAME_ID = 'rgb_optical_frame'
"""Optical frame of the colour camera where the source does not name one."""
THERMAL_FRAME_ID = 'thermal_optical_frame'
"""Optical frame of the thermal camera where the source does not name one."""
GAP_NS = 1_000_000_000
"""Time in nanoseconds between two recordings that are played one after the other."""


class FrameSource(ABC):
    """A stream of frames of both cameras that can be read again and again.

    Attributes:
        problems: what could not be used, by reason (`rgb.unreadable`, `thermal.bad_encoding`, ...).
            Each pass over the frames counts anew.
    """

    def __init__(self) -> None:
        """Start without problems."""
        self.problems = Counters()

    @abstractmethod
    def frames(self) -> Iterator[tuple[Sensor, Frame]]:
        """Yield the frames of both cameras in the order of `received_ns`.

        Every call begins at the start and gives the same frames.

        Raises:
            SourceError: the rest cannot be read.
        """

    @abstractmethod
    def describe(self) -> str:
        """Say in one line what is read, and what about it is made up."""

    def duration_ns(self) -> int | None:
        """Length in nanoseconds of `received_ns`, for progress; None where there is no end."""
        return None

    def true_map(self, rgb_stamp_ns: int) -> Array | None:
        """Where each RGB pixel really lies in the thermal image.

        Args:
            rgb_stamp_ns: stamp of an RGB frame of this source.

        Returns:
            (H, W, 2) float32 thermal (x, y) of each RGB pixel, NaN where there is none; None where
            the truth is not known.
        """
        del rgb_stamp_ns
        return None

    def close(self) -> None:  # noqa: B027 (most sources hold nothing between two passes)
        """Let go of files and devices; the source cannot be read afterwards."""

    def __enter__(self) -> FrameSource:
        """Return the source itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close."""
        self.close()
