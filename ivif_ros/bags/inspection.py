# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""A look at a recording: what is in it, and what the package would make of it.

The index tells topics and counts. Everything else comes from a few parts of the recording, spread
evenly over it; what was looked at is said. Damaged recordings are read as far as they are intact.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ivif_ros.bags.file import BagFile, RawMessage
from ivif_ros.bags.importing import DESCRIPTION_TOPIC
from ivif_ros.bags.inspection_findings import (
    CLOCKS_APART_MS,
    CameraInfoLook,
    CameraLook,
    Inspection,
    Looked,
    odd_intrinsics,
    overlap_s,
    shift_ns_of,
)
from ivif_ros.bags.inspection_images import (
    ColourLook,
    ThermalLook,
    look_at_colour,
    look_at_thermal,
    thinned,
)
from ivif_ros.bags.inspection_pairs import align, combined_offset
from ivif_ros.bags.inspection_timing import TimingMeter
from ivif_ros.bags.reader import image_topics, lower_case
from ivif_ros.bags.topics import CAMERA_INFO_TYPE, ImageTopic, choose_topics, is_colour
from ivif_ros.counters import Counters
from ivif_ros.errors import ImageError, SourceError
from ivif_ros.parameters import SyncParameters, ThermalParameters
from ivif_ros.registration import Calibration, Estimator, calibrated_deformation
from ivif_ros.ros.image_codec import decode_image
from ivif_ros.ros.intrinsics import Intrinsics
from ivif_ros.sync import Synchroniser
from ivif_ros.sync.track import MIN_STEP_NS
from ivif_ros.thermal import ThermalNormaliser
from ivif_ros.types import Array, Deformation, Frame, Sensor, Size

PARTS = 4
"""Parts of a long recording that are looked at."""
PART_S = 20.0
"""Parts of a recording that is looked at as a whole: as long as the offset of clocks looks back."""
_SHORTEST_PART_S = 10.0
DEFAULT_SECONDS = 60.0
"""Time of a recording that is looked at, all parts together."""
LARGEST_PART_BYTES = 1_500_000_000
"""A part is cut where it has given so many bytes, unless all of it was asked for."""
_SAMPLES_PER_PART = 3
_SAMPLED_PARTS = 16
_PAIRS = 4
_NEVER_NS = 2**63
_LEAP_NS = 500_000_000
_WORKING_DISTANCE_M = 15.0

Progress = Callable[[float], None]
"""Told the share of the work that is done, 0 to 1."""


def inspect_bag(path: Path | str, *, seconds: float | None = DEFAULT_SECONDS,
                rgb_topic: str | None = None, thermal_topic: str | None = None,
                motion: bool = True, estimator: Estimator | None = None,
                progress: Progress | None = None) -> Inspection:
    """Look at a recording.

    Args:
        path: rosbag2 folder, `.mcap`, `.db3` or ROS 1 `.bag` file; damaged ones too.
        seconds: how much of it to read; None for all.
        rgb_topic: images of the colour camera; None finds them.
        thermal_topic: images of the thermal camera; None finds them.
        motion: estimate the offset of the clocks.
        estimator: estimates the alignment; None: nobody looks.
        progress: told what is done.

    Raises:
        SourceError: nothing in it can be read.
    """
    with BagFile(path, salvage=True) as bag:
        return _Look(bag, seconds, motion, estimator, progress).run(rgb_topic, thermal_topic)


class _Camera:
    """What is collected about one camera."""

    def __init__(self, topic: ImageTopic) -> None:
        self.topic = topic
        self.meter = TimingMeter()
        self.frame_ids: dict[str, None] = {}
        self.samples: list[Array] = []
        self.size: Size = (0, 0)
        self.undecodable = Counters()
        self.problems: dict[str, str] = {}
        self.intrinsics = Intrinsics(lambda reason, words: self.problems.update({reason: words}))
        self.last_seen_ns = 0
        self.next_sample_ns = _NEVER_NS


class _Look:
    """One look at one recording."""

    def __init__(self, bag: BagFile, seconds: float | None, motion: bool,
                 estimator: Estimator | None, progress: Progress | None) -> None:
        self._bag = bag
        self._motion = motion
        self._estimator = estimator
        self._progress = progress or (lambda share: None)
        self._whole = seconds is None or bag.duration_ns <= seconds * 1e9
        self._most_bytes = math.inf if seconds is None else LARGEST_PART_BYTES
        self._windows = _windows(bag.start_ns, bag.duration_ns, seconds)
        self._cameras: dict[Sensor, _Camera] = {}
        self._infos: dict[str, Sensor] = {}
        self._messages = self._bytes = self._read_ns = 0
        self._follows = False
        self._cut = False
        self._broke_off = ''
        self._offsets: list[tuple[float, float, float, str]] = []

    def run(self, rgb_topic: str | None, thermal_topic: str | None) -> Inspection:
        """Look at everything."""
        bag = self._bag
        images: tuple[ImageTopic, ...] = ()
        problem = ''
        try:
            images = tuple(image_topics(bag))
            rgb, thermal = choose_topics(images, 'the recording', rgb=rgb_topic,
                                         thermal=thermal_topic)
        except SourceError as error:
            problem = str(error)
        else:
            self._cameras = {'rgb': _Camera(rgb), 'thermal': _Camera(thermal)}
            if rgb.camera_info != thermal.camera_info:
                self._infos = {rgb.camera_info: 'rgb', thermal.camera_info: 'thermal'}
            self._read()
        return self._result(images, problem)

    def _result(self, images: tuple[ImageTopic, ...], problem: str) -> Inspection:
        bag = self._bag
        cameras = {sensor: self._camera_look(sensor) for sensor in self._cameras}
        offset = combined_offset(self._offsets, self._clocks_ms()) if self._cameras else None
        shift_ns = shift_ns_of(offset)
        pairs: tuple[tuple[Array, Array], ...] = ()
        alignment = None
        if self._cameras and self._estimator is not None:
            pairs = tuple(self._pairs(shift_ns))
            alignment = align(pairs, self._estimator, self._first_guess(cameras, pairs))
        self._progress(1.0)
        return Inspection(
            bag.path, _size(bag.path), bag.damage, bag.start_ns, bag.duration_ns / 1e9,
            tuple(bag.topics()), images,
            Looked(self._whole and not self._cut and not self._broke_off, len(self._windows),
                   self._read_ns / 1e9, bag.duration_ns / 1e9, self._messages, self._bytes,
                   self._cut, self._broke_off),
            _made(bag), problem, cameras, overlap_s(cameras, shift_ns), offset, alignment,
            {sensor: camera.meter for sensor, camera in self._cameras.items()}, pairs)

    # Reading

    def _read(self) -> None:
        expected_ms = self._expected_ms()
        for number, (start_ns, stop_ns) in enumerate(self._windows):
            sync = Synchroniser(SyncParameters(thermal_offset_ms=expected_ms), Counters())
            for camera in self._cameras.values():
                camera.last_seen_ns = 0
                if number % -(-len(self._windows) // _SAMPLED_PARTS) == 0:
                    camera.next_sample_ns = start_ns
            self._follows = self._follows and self._whole
            self._read_part(number, start_ns, stop_ns, sync)
            if self._motion:
                found = sync.estimate
                self._offsets.append(
                    (found.offset_ms, found.std_ms, found.confidence, found.reason))

    def _read_part(self, number: int, start_ns: int, stop_ns: int, sync: Synchroniser) -> None:
        """Read a part; where it cannot be read, go on a little later."""
        every_ns = (stop_ns - start_ns) // _SAMPLES_PER_PART + 1
        topics = {*self._infos, *(camera.topic.name for camera in self._cameras.values())}
        size, begin_ns = 0, start_ns
        while begin_ns < stop_ns:
            if not self._follows:
                for camera in self._cameras.values():
                    camera.meter.new_window()
            last_ns = begin_ns
            self._follows = True
            try:
                for message in self._bag.messages(topics, begin_ns, stop_ns):
                    self._take(message, sync, every_ns, stop_ns)
                    size += len(message.data)
                    last_ns = message.received_ns
                    share = (last_ns - start_ns) / max(stop_ns - start_ns, 1)
                    self._progress(0.8 * (number + share) / len(self._windows))
                    if size > self._most_bytes:
                        self._cut = True
                        self._follows = False
                        break
                self._read_ns += last_ns - begin_ns
                break
            except SourceError as error:
                self._broke_off = self._broke_off or str(error)
                self._follows = False
                self._read_ns += last_ns - begin_ns
                begin_ns = last_ns + _LEAP_NS
        self._bytes += size

    def _take(self, message: RawMessage, sync: Synchroniser, every_ns: int,
              stop_ns: int) -> None:
        """Note one message, and decode it where its image is needed."""
        self._messages += 1
        if message.topic in self._infos:
            owner = self._cameras[self._infos[message.topic]]
            try:
                owner.intrinsics.update(lower_case(self._bag.deserialise(message)))
            except SourceError:
                owner.problems['bad_message'] = 'camera_info cannot be read'
            return
        sensor = next(name for name, camera in self._cameras.items()
                      if camera.topic.name == message.topic)
        camera = self._cameras[sensor]
        try:
            stamp_ns = self._bag.stamp_ns(message)
        except SourceError:
            camera.undecodable.add('bad_message')
            return
        camera.meter.add(stamp_ns, message.received_ns, message.data)
        sample = message.received_ns >= camera.next_sample_ns
        moving = self._motion and abs(stamp_ns - camera.last_seen_ns) >= MIN_STEP_NS
        if not (sample or moving):
            return
        frame = self._frame(message, sensor)
        if frame is None:
            return
        camera.last_seen_ns = stamp_ns
        if sample:
            camera.next_sample_ns += every_ns
            if camera.next_sample_ns >= stop_ns:
                camera.next_sample_ns = _NEVER_NS
            camera.samples.append(thinned(frame.image))
            camera.size = frame.size
        if moving:
            sync.observe(sensor, frame)

    def _frame(self, message: RawMessage, sensor: Sensor) -> Frame | None:
        """Decode an image; what cannot be decoded is counted."""
        camera = self._cameras[sensor]
        try:
            raw = self._bag.deserialise(message)
            image = decode_image(raw, sensor)
            camera.frame_ids[raw.header.frame_id] = None
            return Frame(self._bag.stamp_ns(message), raw.header.frame_id, image,
                         received_ns=message.received_ns)
        except SourceError:
            camera.undecodable.add('bad_message')
        except ImageError as error:
            camera.undecodable.add(error.reason)
            camera.problems[f'image.{error.reason}'] = str(error)
        return None

    # Time

    def _expected_ms(self) -> float:
        """Offset to search around: that of the clocks where they are far apart, else none."""
        latencies: dict[Sensor, list[int]] = {'rgb': [], 'thermal': []}
        for sensor, camera in self._cameras.items():
            try:
                for message in self._bag.messages({camera.topic.name}):
                    latencies[sensor].append(message.received_ns - self._bag.stamp_ns(message))
                    if len(latencies[sensor]) == 10:
                        break
            except SourceError:
                continue
        if not all(latencies.values()):
            return 0.0
        apart_ms = float(np.median(latencies['thermal']) - np.median(latencies['rgb'])) / 1e6
        return apart_ms if CLOCKS_APART_MS < abs(apart_ms) <= 10_000 else 0.0

    def _clocks_ms(self) -> float:
        """Offset of the clocks from receive times alone."""
        rgb, thermal = (self._cameras[sensor].meter.timing().latency_ms
                        for sensor in ('rgb', 'thermal'))
        return thermal - rgb

    # Space

    def _pairs(self, shift_ns: int) -> list[tuple[Array, Array]]:
        """A few pairs that lie far apart in the recording."""
        rgb, thermal = (self._cameras[sensor].meter for sensor in ('rgb', 'thermal'))
        wanted: list[tuple[int, int]] = []
        per_window = -(-_PAIRS // len(rgb.stamps))
        for window in range(len(rgb.stamps)):
            if not (rgb.stamps[window] and thermal.stamps[window]):
                continue
            partners = np.array(thermal.stamps[window], np.int64) + shift_ns
            for share in (np.arange(per_window) + 0.5) / per_window:
                index = int(share * len(rgb.stamps[window]))
                nearest = int(np.abs(partners - rgb.stamps[window][index]).argmin())
                wanted.append((rgb.received[window][index], thermal.received[window][nearest]))
        normaliser = ThermalNormaliser(ThermalParameters())
        pairs = []
        for number, times in enumerate(wanted):
            self._progress(0.8 + 0.2 * number / len(wanted))
            frames = [self._frame_at(sensor, received_ns) for sensor, received_ns in
                      zip(self._cameras, times, strict=True)]
            if frames[0] is None or frames[1] is None:
                continue
            normaliser.reset()
            try:
                pairs.append((np.array(frames[0].image), normaliser.apply(frames[1].image, 0)))
            except ImageError as error:
                self._cameras['thermal'].undecodable.add(error.reason)
        sizes = [(one.shape, other.shape) for one, other in pairs]
        return [pair for pair, size in zip(pairs, sizes, strict=True) if size == sizes[0]]

    def _frame_at(self, sensor: Sensor, received_ns: int) -> Frame | None:
        """The frame of a camera that was received at a time."""
        topic = self._cameras[sensor].topic.name
        try:
            for message in self._bag.messages({topic}, received_ns, received_ns + 1):
                return self._frame(message, sensor)
        except SourceError as error:
            self._broke_off = self._broke_off or str(error)
        return None

    def _first_guess(self, cameras: dict[Sensor, CameraLook],
                     pairs: tuple[tuple[Array, Array], ...]) -> Deformation | None:
        rgb, thermal = (cameras[sensor].info.camera for sensor in ('rgb', 'thermal'))
        if rgb is None or thermal is None or not pairs:
            return None
        sizes = [(image.shape[1], image.shape[0]) for image in pairs[0]]
        return calibrated_deformation(
            Calibration(rgb, thermal), sizes[0], sizes[1], _WORKING_DISTANCE_M)

    def _camera_look(self, sensor: Sensor) -> CameraLook:
        camera = self._cameras[sensor]
        look: ThermalLook | ColourLook | None = None
        if camera.samples:
            look = (look_at_colour(camera.samples, camera.size) if sensor == 'rgb' else
                    look_at_thermal(camera.samples, camera.size,
                                    coloured=is_colour(camera.topic.encoding)))
        return CameraLook(
            camera.topic, camera.meter.timing(), tuple(camera.frame_ids), look,
            camera.undecodable.snapshot(), self._info_look(sensor, look))

    def _info_look(self, sensor: Sensor, look: ThermalLook | ColourLook | None) -> CameraInfoLook:
        camera = self._cameras[sensor]
        name = camera.topic.camera_info
        count = next((topic.count for topic in self._bag.topics()
                      if topic.name == name and topic.msgtype == CAMERA_INFO_TYPE), 0)
        if not self._infos:
            return CameraInfoLook(name, count, None, 'both cameras share one namespace, so nobody '
                                  'can tell whose camera_info this is')
        if not count:
            return CameraInfoLook(name, 0, None, 'there is none')
        model = None if look is None else camera.intrinsics.of(look.size)
        problem = next((words for reason, words in camera.problems.items()
                        if not reason.startswith('image.')), '')
        if model is None and not problem:
            problem = 'all zeros: the camera is not calibrated'
        elif model is not None:
            problem = problem or odd_intrinsics(model)
        return CameraInfoLook(name, count, model, problem)


def _windows(start_ns: int, duration_ns: int, seconds: float | None) -> list[tuple[int, int]]:
    """Parts of a recording to look at: one after the other, or spread evenly over it."""
    if seconds is None or duration_ns <= seconds * 1e9:
        parts = max(1, round(duration_ns / 1e9 / PART_S))
        edges = [start_ns + (duration_ns + 1) * part // parts for part in range(parts + 1)]
        return list(pairwise(edges))
    parts = int(min(max(seconds // _SHORTEST_PART_S, 1), PARTS))
    length = round(seconds * 1e9 / parts)
    free = duration_ns + 1 - length
    begins = [start_ns + (free * part // (parts - 1) if parts > 1 else free // 2)
              for part in range(parts)]
    return [(begin, begin + length) for begin in begins]


def _made(bag: BagFile) -> dict[str, Any]:
    """How `ivif import` made the recording; empty where it did not."""
    found: dict[str, Any] = {}
    try:
        for message in bag.messages({DESCRIPTION_TOPIC}):
            content = json.loads(bag.deserialise(message).data)
            found = content if isinstance(content, dict) else {}
    except (SourceError, AttributeError, ValueError):
        return {}
    return found


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
    return sum(file.stat().st_size for file in files)
