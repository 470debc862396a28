# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of videos as short clips, spread over their length and kept in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from ivif_ros.errors import SourceError
from ivif_ros.training.data.pairs import Pair, PairFiles, check_sizes, to_luma
from ivif_ros.types import Array

CLIP = 4
"""Frames of a clip; `then` is one to three frames after the first moment."""
_APART = 10
_MOST_CLIPS = 64


class Videos:
    """Clips of all videos of a data set. Frame i of one video belongs to frame i of the other.

    Each video is decoded once, from its beginning to its end; where one of a pair is longer, its
    end is left out. Seeking would be faster, but is not exact to the frame in every container.

    Attributes:
        name: name of the data set.
        moves: True.
        nbytes: memory that the clips take.
    """

    moves = True

    def __init__(self, name: str, files: Sequence[PairFiles], budget_mb: float) -> None:
        """Decode the clips.

        Args:
            name: name of the data set.
            files: pairs of videos.
            budget_mb: memory for all of them in MB; each video gets one clip at least.

        Raises:
            SourceError: a video that cannot be read, is shorter than a clip, or differs in size
                from its partner.
        """
        self.name = name
        self._clips = [clip for pair in files
                       for clip in read_clips(pair, budget_mb * 1e6 / len(files))]
        self.nbytes = sum(plane.nbytes for clip in self._clips for pair in clip for plane in pair)

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self._clips)

    def moments(self, index: int, rng: np.random.Generator, count: int) -> Sequence[Pair]:
        """Return a frame of clip `index`, and for a count of 2 another, one to three later."""
        clip = self._clips[index]
        first = int(rng.integers(CLIP + 1 - count))
        return [clip[first]] if count == 1 else [
            clip[first], clip[int(rng.integers(first + 1, CLIP))]]


def read_clips(files: PairFiles, budget: float) -> list[list[Pair]]:
    """Decode clips of a pair of videos.

    Args:
        files: the videos.
        budget: bytes that the clips may take.

    Returns:
        At most 64 clips of four consecutive frames, at least ten frames from start to start.

    Raises:
        SourceError: as in `Videos`.
    """
    clips: list[list[Pair]] = []
    clip: list[Pair] = []
    with _opened(files.visible) as visible, _opened(files.thermal) as thermal:
        promised = min(_count(capture) for capture in (visible, thermal))
        size = 2 * CLIP * visible.get(cv2.CAP_PROP_FRAME_WIDTH) * visible.get(
            cv2.CAP_PROP_FRAME_HEIGHT)
        most = max(1, min(_MOST_CLIPS, int(budget / max(size, 1))))
        apart = max(_APART, math.ceil(promised / most))
        for place in _places(visible, thermal, apart):
            images = [_frame(capture) for capture in (visible, thermal)]
            pair = Pair(images[0], images[1])
            check_sizes(pair, files)
            clip = [pair] if place == 0 else [*clip, pair]
            if len(clip) == CLIP:
                clips.append(clip)
                if len(clips) == most:
                    break
    if not clips:
        raise SourceError(f"videos '{files.visible}' and '{files.thermal}' have fewer than {CLIP} "
                          'frames that can be decoded in both')
    return clips


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise SourceError(f"video '{path}' cannot be decoded: damaged, empty or unknown codec")
        yield capture
    finally:
        capture.release()


def _count(capture: cv2.VideoCapture) -> int:
    """Frames that the header promises; 0 where it does not say (or says rubbish)."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if math.isfinite(count) and 0 < count < 1e9 else 0


def _places(visible: cv2.VideoCapture, thermal: cv2.VideoCapture, apart: int) -> Iterator[int]:
    """Step through both videos; stop at frames of clips and yield the place in the clip."""
    index = 0
    while visible.grab() and thermal.grab():
        if index % apart < CLIP:
            yield index % apart
        index += 1


def _frame(capture: cv2.VideoCapture) -> Array:
    read, image = capture.retrieve()
    if not read:
        raise SourceError('a frame of a video was found but cannot be decoded: the file is damaged')
    return to_luma(np.asarray(image))
