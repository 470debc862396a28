# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading of one pair of video files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from ivif_ros.counters import Counters
from ivif_ros.errors import SourceError
from ivif_ros.types import Array, Sensor


@dataclass(frozen=True)
class Video:
    """One video file and what its header promises.

    Attributes:
        path: the file.
        sensor: whose video it is; thermal videos are decoded to grey.
        rate_hz: frames per second.
        count: number of frames that the header promises (0 where it does not say).
        own_times: True where each frame has its time in the file, False where `rate_hz` was given.
    """

    path: Path
    sensor: Sensor
    rate_hz: float
    count: int
    own_times: bool = True

    def images(self, problems: Counters) -> Iterator[tuple[float, Array]]:
        """Decode the frames one after the other.

        Args:
            problems: gets `<sensor>.missing_in_video` for each promised frame that is not there.

        Yields:
            Seconds since the first frame, and (H, W, 3) uint8 BGR, or (H, W) uint8 for thermal.
            Phones and screen recorders film at rates that vary: the time is that of the frame in
            the file, or follows from the rate where the file has no times that grow.
        """
        capture = cv2.VideoCapture(str(self.path))
        done = 0
        first_s = last_s = 0.0
        try:
            while True:
                read, image = capture.read()
                if not read:
                    break
                if self.sensor == 'thermal' and image.ndim == 3:
                    image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
                time_s = done / self.rate_hz
                if self.own_times:
                    own_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
                    first_s = own_s if done == 0 else first_s
                    if done == 0 or own_s - first_s > last_s:
                        time_s = own_s - first_s
                    else:
                        time_s = last_s + 1 / self.rate_hz
                last_s = time_s
                done += 1
                yield time_s, image
        finally:
            capture.release()
        if done < self.count:
            problems.add(f'{self.sensor}.missing_in_video', self.count - done)


def probe_video(path: Path, sensor: Sensor, rate_hz: float | None, default_hz: float) -> Video:
    """Open a video and read its header.

    Args:
        path: the file.
        sensor: whose video it is.
        rate_hz: frames per second to use instead of the video's own, or None.
        default_hz: frames per second where the header does not say.

    Raises:
        SourceError: it cannot be opened or has no decodable frame.
    """
    capture = cv2.VideoCapture(str(path))
    try:
        # grab() as well: some containers open although nothing in them can be decoded.
        if not capture.isOpened() or not capture.grab():
            raise SourceError(f"video '{path}' cannot be decoded: damaged, empty or unknown codec")
        own_hz = capture.get(cv2.CAP_PROP_FPS)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    finally:
        capture.release()
    if not (math.isfinite(own_hz) and 0 < own_hz <= 10_000):
        own_hz = default_hz
    # Containers without an index report rubbish such as -9e18.
    promised = int(count) if math.isfinite(count) and 0 < count < 1e9 else 0
    return Video(path, sensor, rate_hz or own_hz, promised, own_times=rate_hz is None)
