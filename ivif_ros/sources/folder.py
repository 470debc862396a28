# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Folders with `rgb/` and `thermal/`: images and videos of matching names as a stream of frames."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ivif_ros.errors import SourceError
from ivif_ros.frame_source import GAP_NS, RGB_FRAME_ID, THERMAL_FRAME_ID, FrameSource
from ivif_ros.image_file import STILL_SUFFIXES, VIDEO_SUFFIXES
from ivif_ros.sources.images import read_image
from ivif_ros.sources.videos import Video, probe_video
from ivif_ros.types import Array, Frame, Sensor

SENSORS: tuple[Sensor, Sensor] = ('rgb', 'thermal')
FRAME_IDS: dict[Sensor, str] = {'rgb': RGB_FRAME_ID, 'thermal': THERMAL_FRAME_ID}
START_NS = 1_000_000_000
"""Stamp of the first frame: files have no clock, and zero means 'no stamp' to ROS."""
DEFAULT_RATE_HZ = 10.0
"""Pairs of stills per second."""


@dataclass(frozen=True)
class FilePair:
    """Two image files with the same stem.

    Attributes:
        stem: file name without suffix.
        rgb: colour image.
        thermal: thermal image.
    """

    stem: str
    rgb: Path
    thermal: Path


class FolderSource(FrameSource):
    """Stills and videos in `rgb/` and `thermal/`, matched by stem, played in name order.

    Stills that follow each other in name order are one recording at `rate_hz`; the two images of a
    pair carry the same stamp. Each video is a recording of its own with the times of its frames,
    or frame i at i / rate. Between two recordings one second passes. The date of all stamps is
    made up: files carry none.

    Args:
        path: the folder, with `rgb/` and `thermal/` in it; or the colour images alone, with
            `thermal`.
        rate_hz: pairs per second; None for 10 Hz of stills and for the videos' own times.
        thermal: the thermal images, where they are not beside the colour images: a folder where
            `path` is one, else one file, which is the partner of `path` whatever its name.

    Raises:
        SourceError: not there, no `rgb/` or `thermal/`, no matching stems, or no positive rate.
    """

    def __init__(self, path: Path | str, *, rate_hz: float | None = None,
                 thermal: Path | str | None = None) -> None:
        """List the files and open each video once."""
        super().__init__()
        if rate_hz is not None and not 0 < rate_hz <= 10_000:
            raise SourceError(f'rate_hz is {rate_hz:g}, expected more than 0 and at most 10000')
        self.path = Path(path)
        self._period_ns = 1e9 / (rate_hz or DEFAULT_RATE_HZ)
        self._folders: dict[Sensor, Path]
        if thermal is None:
            if not self.path.is_dir():
                raise SourceError(f"folder '{self.path}' is not there")
            self._folders = {sensor: self.path / sensor for sensor in SENSORS}
        else:
            self._folders = {'rgb': self.path, 'thermal': Path(thermal)}
        pairs = self._file_pair() or self._match(*(self._list(sensor) for sensor in SENSORS))
        self.recordings = self._group(pairs, rate_hz)
        if not self.recordings:
            raise SourceError(f"no pair of videos in '{self.path}' can be decoded, for example "
                              f"'{pairs[0].rgb}' with '{pairs[0].thermal}'")

    def frames(self) -> Iterator[tuple[Sensor, Frame]]:
        """Yield the frames of all recordings.

        A file that cannot be read is counted and its partner comes alone.

        Raises:
            SourceError: not one file could be read.
        """
        start_ns = START_NS
        nothing = True
        for recording in self.recordings:
            last_ns = start_ns
            frames = (self._stills(recording, start_ns) if isinstance(recording, list)
                      else self._videos(recording, start_ns))
            for sensor, frame in frames:
                last_ns = frame.stamp_ns
                nothing = False
                yield sensor, frame
            start_ns = last_ns + GAP_NS
        if nothing:
            raise SourceError(f"not one image of '{self.path}' could be read: all are damaged")

    def describe(self) -> str:
        """Say what is in the folder and that the stamps are made up."""
        stills = [recording for recording in self.recordings if isinstance(recording, list)]
        videos = [recording for recording in self.recordings if isinstance(recording, tuple)]
        parts = []
        if stills:
            parts.append(f'{sum(map(len, stills))} pairs of stills at {1e9 / self._period_ns:g} Hz')
        if videos:
            rates = sorted({f'{video.rate_hz:g}' for pair in videos for video in pair})
            parts.append(f"{len(videos)} pairs of videos at {' and '.join(rates)} Hz")
        rgb, thermal = (self._folders[sensor] for sensor in SENSORS)
        if (rgb, thermal) == (self.path / 'rgb', self.path / 'thermal'):
            where, how = f"folder '{self.path}'", 'paired by file name'
        else:
            where = f"'{rgb}' and '{thermal}'"
            how = 'paired as named' if rgb.is_file() else 'paired by file name'
        return f"{where}: {', '.join(parts)}, {how}, stamps made up"

    def duration_ns(self) -> int | None:
        """Sum of the recordings and of the gaps between them, as the headers promise."""
        total = 0.0
        for recording in self.recordings:
            if isinstance(recording, list):
                total += (len(recording) - 1) * self._period_ns
            elif min(video.count for video in recording) == 0:
                return None
            else:
                total += max((video.count - 1) * 1e9 / video.rate_hz for video in recording)
        return round(total) + (len(self.recordings) - 1) * GAP_NS

    def _file_pair(self) -> list[FilePair]:
        """The pair of two files that were named one by one; none for folders.

        Raises:
            SourceError: one of them is not there, or they are not of one kind.
        """
        rgb, thermal = (self._folders[sensor] for sensor in SENSORS)
        if not (rgb.is_file() or thermal.is_file()):
            return []
        for file in (rgb, thermal):
            if not file.is_file():
                raise SourceError(f"'{file}' is not a file; expected two files or two folders")
        if is_video(rgb) != is_video(thermal):
            raise SourceError(f"'{rgb}' and '{thermal}' are a video and an image, expected two "
                              'videos or two images')
        return [FilePair(rgb.stem, rgb, thermal)]

    def _list(self, sensor: Sensor) -> dict[str, Path]:
        """Map stems to files of one camera."""
        folder = self._folders[sensor]
        if not folder.is_dir():
            raise SourceError(f"'{folder.parent}' has no folder '{folder.name}'; expected rgb/ and "
                              'thermal/ with images or videos of matching names')
        files: dict[str, Path] = {}
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            raise SourceError(f"folder '{folder}' cannot be listed: {error.strerror}") from error
        for file in entries:
            if file.suffix.lower() not in STILL_SUFFIXES | VIDEO_SUFFIXES or not file.is_file():
                self.problems.add(f'{sensor}.other_file')
            elif file.stem in files:
                self.problems.add(f'{sensor}.same_name')
            else:
                files[file.stem] = file
        return files

    def _match(self, rgb: dict[str, Path], thermal: dict[str, Path]) -> list[FilePair]:
        pairs = [FilePair(stem, rgb[stem], thermal[stem])
                 for stem in sorted(rgb.keys() & thermal.keys())
                 if is_video(rgb[stem]) == is_video(thermal[stem])]
        for sensor, files in (('rgb', rgb), ('thermal', thermal)):
            if alone := len(files) - len(pairs):
                self.problems.add(f'{sensor}.no_partner', alone)
        if not pairs:
            raise SourceError(
                f"no file name of '{self._folders['rgb']}' ({examples(rgb)}) matches one of "
                f"'{self._folders['thermal']}' ({examples(thermal)}); a pair has the same name "
                'before the suffix and is two images or two videos')
        return pairs

    def _group(self, pairs: Sequence[FilePair],
               rate_hz: float | None) -> list[list[FilePair] | tuple[Video, Video]]:
        """Join neighbouring stills to one recording; leave out videos that cannot be opened."""
        recordings: list[list[FilePair] | tuple[Video, Video]] = []
        for pair in pairs:
            if not is_video(pair.rgb):
                if recordings and isinstance(recordings[-1], list):
                    recordings[-1].append(pair)
                else:
                    recordings.append([pair])
                continue
            videos = []
            for sensor, file in zip(SENSORS, (pair.rgb, pair.thermal), strict=True):
                try:
                    videos.append(probe_video(file, sensor, rate_hz, DEFAULT_RATE_HZ))
                except SourceError:
                    self.problems.add(f'{sensor}.unreadable')
            if len(videos) == 2:
                recordings.append((videos[0], videos[1]))
        return recordings

    def _stills(self, pairs: Sequence[FilePair], start_ns: int) -> Iterator[tuple[Sensor, Frame]]:
        for index, pair in enumerate(pairs):
            stamp_ns = start_ns + round(index * self._period_ns)
            for sensor, file in zip(SENSORS, (pair.rgb, pair.thermal), strict=True):
                try:
                    image = read_image(file, sensor)
                except SourceError:
                    self.problems.add(f'{sensor}.unreadable')
                    continue
                yield sensor, made_frame(sensor, image, stamp_ns)

    def _videos(self, videos: tuple[Video, Video], start_ns: int) -> Iterator[tuple[Sensor, Frame]]:
        def one(video: Video) -> Iterator[tuple[Sensor, Frame]]:
            for time_s, image in video.images(self.problems):
                yield video.sensor, made_frame(
                    video.sensor, image, start_ns + round(time_s * 1e9))

        # Stable: of two frames with one stamp the RGB frame comes first.
        return heapq.merge(*(one(video) for video in videos), key=lambda item: item[1].received_ns)


def made_frame(sensor: Sensor, image: Array, stamp_ns: int) -> Frame:
    """Frame of a file, received at the moment of exposure."""
    return Frame(stamp_ns, FRAME_IDS[sensor], image, received_ns=stamp_ns)


def is_video(path: Path) -> bool:
    """Tell videos from stills by their suffix."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def examples(files: dict[str, Path], most: int = 3) -> str:
    """Name a few files for an error message."""
    names = [file.name for file in list(files.values())[:most]]
    more = len(files) - len(names)
    return ', '.join(names) + (f' and {more} more' if more else '') if names else 'empty'
