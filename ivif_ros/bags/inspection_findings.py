# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a look at a recording finds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ivif_ros.bags.file import BagTopic
from ivif_ros.bags.inspection_images import ColourLook, ThermalLook
from ivif_ros.bags.inspection_pairs import AlignmentFinding, OffsetFinding
from ivif_ros.bags.inspection_timing import Timing, TimingMeter
from ivif_ros.bags.topics import ImageTopic
from ivif_ros.types import Array, CameraModel, Sensor

CLOCKS_APART_MS = 300.0
"""Difference of the clocks by receive times from which on they are not of one time."""
_LARGEST_SHIFT_NS = 10_000_000_000


@dataclass(frozen=True)
class Looked:
    """How much of a recording was looked at.

    Attributes:
        complete: True where all of it was read.
        parts: number of parts.
        seconds: time of all parts together.
        of_seconds: time of the whole recording.
        messages: messages of the chosen topics that were read.
        bytes: their size.
        cut: True where a part was cut because of its size.
        broke_off: what could not be read first; empty where everything could.
    """

    complete: bool
    parts: int
    seconds: float
    of_seconds: float
    messages: int
    bytes: int
    cut: bool
    broke_off: str


@dataclass(frozen=True, eq=False)
class CameraInfoLook:
    """The camera_info of a camera.

    Attributes:
        topic: where it is expected: the sibling of the image.
        messages: number in the recording.
        camera: intrinsics for the images as they are sent; None where there are none that fit.
        problem: what is wrong with it; empty where nothing is.
    """

    topic: str
    messages: int
    camera: CameraModel | None
    problem: str

    @property
    def fov_deg(self) -> float:
        """Horizontal field of view without distortion in degrees; NaN without intrinsics."""
        if self.camera is None:
            return math.nan
        return math.degrees(2 * math.atan(self.camera.width / 2 / self.camera.matrix[0, 0]))


@dataclass(frozen=True, eq=False)
class CameraLook:
    """What was found about one camera.

    Attributes:
        topic: its images.
        timing: how regularly they come.
        frame_ids: frames of their headers.
        look: what their values say; None where not one could be decoded.
        undecodable: images that could not be decoded, by reason.
        info: its camera_info.
    """

    topic: ImageTopic
    timing: Timing
    frame_ids: tuple[str, ...]
    look: ThermalLook | ColourLook | None
    undecodable: dict[str, int]
    info: CameraInfoLook


@dataclass(frozen=True, eq=False)
class Inspection:
    """What a look at a recording found.

    Attributes:
        path: the recording.
        size: bytes of its files.
        damage: what is wrong with the file; empty where it is intact.
        start_ns: receive time of the first message.
        duration_s: time from the first to the last message.
        topics: all topics.
        images: those with images, with their encodings.
        looked: how much was read.
        made: what `ivif import` wrote about how it made the recording; empty for others.
        choice_problem: why the cameras could not be chosen; empty where they were.
        cameras: what was found about each camera; empty where they could not be chosen.
        overlap_s: time that both cameras cover by their stamps, after `offset`; NaN where unknown.
        offset: what was found about the clocks; None where nobody looked.
        alignment: what was found about the rig; None where nobody looked.
        meters: times of both cameras, for forecasts.
        pairs: images that the alignment was estimated on.
    """

    path: Path
    size: int
    damage: str
    start_ns: int
    duration_s: float
    topics: tuple[BagTopic, ...]
    images: tuple[ImageTopic, ...]
    looked: Looked
    made: dict[str, Any] = field(default_factory=dict)
    choice_problem: str = ''
    cameras: dict[Sensor, CameraLook] = field(default_factory=dict)
    overlap_s: float = math.nan
    offset: OffsetFinding | None = None
    alignment: AlignmentFinding | None = None
    meters: dict[Sensor, TimingMeter] = field(default_factory=dict)
    pairs: tuple[tuple[Array, Array], ...] = ()


def shift_ns_of(offset: OffsetFinding | None) -> int:
    """What to add to thermal stamps to find partners."""
    if offset is None:
        return 0
    if offset.known:
        return round(offset.offset_ms * 1e6)
    far = abs(offset.clocks_ms) > CLOCKS_APART_MS  # False for NaN
    return round(offset.clocks_ms * 1e6) if far else 0


def overlap_s(cameras: dict[Sensor, CameraLook], shift_ns: int) -> float:
    """Time that both cameras cover; negative where there is a gap between them."""
    if not cameras or any(not look.timing.last_stamp_ns for look in cameras.values()):
        return math.nan
    rgb, thermal = cameras['rgb'].timing, cameras['thermal'].timing
    # No parameter bridges more.
    shift_ns = shift_ns if abs(shift_ns) <= _LARGEST_SHIFT_NS else 0
    return (min(rgb.last_stamp_ns, thermal.last_stamp_ns + shift_ns)
            - max(rgb.first_stamp_ns, thermal.first_stamp_ns + shift_ns)) / 1e9


def odd_intrinsics(camera: CameraModel) -> str:
    """What looks wrong with intrinsics; empty where nothing does."""
    fx, fy = camera.matrix[0, 0], camera.matrix[1, 1]
    cx, cy = camera.matrix[0, 2], camera.matrix[1, 2]
    fov_deg = math.degrees(2 * math.atan(camera.width / 2 / fx))
    if not 3 <= fov_deg <= 150:
        return f'a field of view of {fov_deg:.0f} degrees is hardly right'
    if abs(fx / fy - 1) > 0.1:
        return f'focal lengths of {fx:.0f} and {fy:.0f} px differ by more than 10 %'
    if abs(cx / camera.width - 0.5) > 0.2 or abs(cy / camera.height - 0.5) > 0.2:
        return (f'the principal point ({cx:.0f}, {cy:.0f}) lies far from the middle of '
                f'{camera.width}x{camera.height} px')
    return ''
