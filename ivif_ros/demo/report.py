# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What a run of the demo showed: pictures, and figures from the messages that were received."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ivif_ros.bags.file import BagFile, header_stamp_ns
from ivif_ros.bags.summary import RunStatistics, RunSummary
from ivif_ros.bags.truth import end_point_error
from ivif_ros.demo.pictures import SheetRow, Video, contact_sheet, save_image
from ivif_ros.detection.overlay import draw
from ivif_ros.parameters import ThermalParameters
from ivif_ros.registration import dense_map
from ivif_ros.ros.image_codec import decode_image
from ivif_ros.ros.message_factory import stamp_of
from ivif_ros.ros.messages import deformation_from_message, detections_from_message
from ivif_ros.ros.typestore import typestore
from ivif_ros.thermal import ThermalNormaliser
from ivif_ros.types import Array, Detections, Mode

SHEET_ROWS = 6
BOX_AGE_S = 0.25


@dataclass(frozen=True)
class RunFiles:
    """Where a run left its parts.

    Attributes:
        bag: recording of the outputs.
        samples: folder with what the camera source showed at some moments.
    """

    bag: Path
    samples: Path


def summarise(files: RunFiles) -> RunSummary:
    """Compute the figures of a run from what was recorded.

    Returns:
        Figures; `end_to_end` is the age of the fused image when the recorder received it, from the
        stamp of its RGB frame on.
    """
    statistics = RunStatistics()
    errors = _truths(files.samples)
    dropped: dict[str, int] = {}
    stamps: list[int] = []
    with _Messages(files.bag) as messages:
        for status in messages.of('status'):
            mode = Mode(status.mode)
            complete = stamp_of(status.rgb_stamp) and stamp_of(status.thermal_stamp)
            statistics.add_pair(mode, float(status.skew) if complete else None, {
                item.name: float(item.latency) for item in status.latencies})
            dropped = {item.name: int(item.count) for item in status.dropped}
            stamps.append(stamp_of(status.header.stamp))
        for message in messages.of('deformation'):
            truth = errors.get(stamp_of(message.header.stamp))
            if truth is None:
                continue
            deformation = deformation_from_message(message)
            error = end_point_error(dense_map(deformation), truth, deformation.thermal_size)
            if error is not None:
                statistics.add_registration_error(error)
        for age_ns in messages.ages_ns('fused/image'):
            statistics.add_latency('end_to_end', age_ns / 1e6)
    seconds = (max(stamps) - min(stamps)) / 1e9 if len(stamps) > 1 else 0.0
    return statistics.summary(dropped=dropped, seconds=seconds, stream_seconds=seconds)


@dataclass(frozen=True)
class Found:
    """What the detector found.

    Attributes:
        images: number of images in which it looked for objects.
        objects: number of boxes by class name, over all images.
    """

    images: int
    objects: dict[str, int]

    def __str__(self) -> str:
        """Describe it for people."""
        if not self.images:
            return 'no objects were looked for'
        several = ', '.join(f'{count} {name}' for name, count in self.objects.items())
        return f'objects in {self.images} images: {several or "none"}'


def make_pictures(files: RunFiles, video: Path, sheet: Path, title: str) -> Found:
    """Write the fused video and the contact sheet.

    Boxes stay in the video for BOX_AGE_S, since detection runs at a rate of its own; the sheet
    prefers moments at which something was detected.

    Returns:
        What was detected.
    """
    boxes: dict[int, Detections] = {}
    captions: dict[int, str] = {}
    registered: dict[int, Array] = {}
    rows: list[SheetRow] = []
    with _Messages(files.bag) as messages:
        names = {item.class_id: item.class_name for message in messages.of('label_info')
                 for item in message.class_map}
        for message in messages.of('detections'):
            boxes[stamp_of(message.header.stamp)] = detections_from_message(message, names)
        for status in messages.of('status'):
            captions[stamp_of(status.header.stamp)] = _caption(status)
        samples = _sample_files(files.samples)
        shown = messages.stamps('fused/image')
        wanted = _choose([stamp for stamp in samples if stamp in shown], set(boxes), SHEET_ROWS)
        for message in messages.of('thermal_registered/image', wanted):
            registered[stamp_of(message.header.stamp)] = decode_image(message, 'thermal').copy()
        film = Video(video, _rate(shown))
        newest: int | None = None
        try:
            for message in messages.of('fused/image'):
                stamp = stamp_of(message.header.stamp)
                fused = decode_image(message, 'rgb')
                newest = stamp if stamp in boxes else newest
                if newest is not None and stamp - newest <= BOX_AGE_S * 1e9:
                    fused = draw(fused, boxes[newest])
                film.add(fused)
                if stamp in wanted:
                    sample = np.load(samples[stamp])
                    moment = f't = {(stamp - min(shown)) / 1e9:.1f} s   {captions.get(stamp, "")}'
                    rows.append(SheetRow((sample['rgb'], _viewable(sample.get('thermal')),
                                          registered.get(stamp), fused.copy()), moment))
        finally:
            film.close()
    if rows:
        save_image(sheet, contact_sheet(rows, title))
    objects = Counter(one.names[int(key)] for one in boxes.values() for key in one.class_ids)
    return Found(len(boxes), dict(objects.most_common()))


class _Messages:
    """Messages of the recording by topic, deserialised."""

    def __init__(self, path: Path) -> None:
        self._bag = BagFile(path)
        self._store = typestore()

    def __enter__(self) -> _Messages:
        return self

    def __exit__(self, *_: object) -> None:
        self._bag.close()

    def of(self, topic: str, stamps: Collection[int] | None = None) -> Iterator[Any]:
        """Yield the messages of one topic, or those with certain stamps."""
        for raw in self._bag.messages([f'/{topic}']):
            if stamps is None or header_stamp_ns(raw.data) in stamps:
                yield self._store.deserialize_cdr(raw.data, raw.msgtype)

    def ages_ns(self, topic: str) -> Iterator[int]:
        """Yield how old each message of one topic was when it came, in nanoseconds."""
        for raw in self._bag.messages([f'/{topic}']):
            yield raw.received_ns - header_stamp_ns(raw.data)

    def stamps(self, topic: str) -> set[int]:
        """Return the stamps of the messages of one topic."""
        return {header_stamp_ns(raw.data) for raw in self._bag.messages([f'/{topic}'])}


def _sample_files(folder: Path) -> dict[int, Path]:
    return {int(path.stem): path for path in sorted(folder.glob('*.npz'))}


def _truths(folder: Path) -> dict[int, Array]:
    """Read the true maps of the samples that have one."""
    truths = {}
    for stamp, path in _sample_files(folder).items():
        with np.load(path) as arrays:
            if 'true_map' in arrays:
                truths[stamp] = arrays['true_map']
    return truths


def _choose(stamps: list[int], preferred: Collection[int], count: int) -> set[int]:
    """Choose moments from equal parts of the run, the preferred ones where a part has some."""
    chosen = set()
    for part in np.array_split(np.array(stamps, np.int64), min(count, len(stamps)) or 1):
        candidates = [int(stamp) for stamp in part]
        better = [stamp for stamp in candidates if stamp in preferred] or candidates
        # The end of a part: the very first moment shows a node that has just started.
        chosen.update(better[-1:])
    return chosen


def _rate(stamps: Collection[int]) -> float:
    """Frames per second at which the video lasts as long as the run."""
    seconds = (max(stamps) - min(stamps)) / 1e9 if stamps else 0.0
    return min(max((len(stamps) - 1) / seconds, 1.0), 60.0) if seconds > 0 else 10.0


def _viewable(thermal: Array | None) -> Array | None:
    """Raw thermal image as people can see it."""
    return None if thermal is None else ThermalNormaliser(ThermalParameters()).apply(thermal, 0)


def _caption(status: Any) -> str:
    mode = Mode(status.mode).name.lower()
    parts = [mode if not status.reason else f'{mode} ({status.reason})']
    if stamp_of(status.rgb_stamp) and stamp_of(status.thermal_stamp):
        parts.append(f'skew {status.skew:.1f} ms' + (', held' if status.thermal_held else ''))
    parts.append(f'deformation confidence {status.confidence:.2f}')
    return '   '.join(parts)
