# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""What the arguments of an evaluation name: recordings one by one, as streams or as stills."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ivif_ros.bags.truth_file import truth_path
from ivif_ros.errors import SourceError
from ivif_ros.frame_source import FrameSource
from ivif_ros.sources import open_source
from ivif_ros.sources.factory import is_bag
from ivif_ros.sources.folder import SENSORS, FilePair, FolderSource
from ivif_ros.sources.shaping import LimitedSource
from ivif_ros.sources.videos import Video

STILL_S = 1.0
"""Seconds that a still counts for progress."""


class How(NamedTuple):
    """How recordings are read.

    Attributes:
        rate_hz: images of a folder are a stream of this rate; None: each pair stands alone.
        seconds: use this much time of each stream; None for all of it.
        rgb_topic: topic of the colour camera in recordings; None finds it.
        thermal_topic: topic of the thermal camera in recordings; None finds it.
    """

    rate_hz: float | None = None
    seconds: float | None = None
    rgb_topic: str | None = None
    thermal_topic: str | None = None


@dataclass(frozen=True)
class Recording:
    """One recording; plain data that can be sent to another process.

    Attributes:
        name: unique, and good as the name of a folder.
        source: what `open_source` opens, or the colour video of a pair.
        how: how to read it.
        description: what it is, in one line.
        length_s: seconds of the stream, STILL_S for each still; 0 where nobody knows.
        stills: pairs of files, each of which stands alone; empty for a stream.
        names: stems of the images of a stream that is made of them; empty for others.
        thermal: the thermal video where `source` is a video; None otherwise.
    """

    name: str
    source: str
    how: How
    description: str
    length_s: float
    stills: tuple[FilePair, ...] = ()
    names: tuple[str, ...] = ()
    thermal: str | None = None

    def open(self) -> FrameSource:
        """Open the stream.

        Raises:
            SourceError: it cannot be read.
        """
        if self.thermal is None:
            return open_source(self.source, **self.how._asdict())
        source: FrameSource = FolderSource(
            self.source, thermal=self.thermal, rate_hz=self.how.rate_hz)
        return source if self.how.seconds is None else LimitedSource(source, self.how.seconds)

    def truth_file(self) -> Path | None:
        """The truth that `ivif import` has put beside the recording, where there is one."""
        path = truth_path(Path(self.source))
        return path if path.is_file() else None

    def fingerprint(self) -> str:
        """Text that changes with the files and with how they are read."""
        source = Path(self.source)
        files = [source] + ([Path(self.thermal)] if self.thermal else [])
        if self.names:
            files = [source / sensor for sensor in SENSORS]
        elif self.stills:
            files = [file for pair in self.stills for file in (pair.rgb, pair.thermal)]
        digest = hashlib.sha256(repr((self.source, self.how, self.names)).encode())
        for root in files:
            for file in sorted(root.rglob('*')) if root.is_dir() else [root]:
                if file.is_file():
                    status = file.stat()
                    digest.update(f'{file} {status.st_size} {status.st_mtime_ns}'.encode())
        return digest.hexdigest()


def find_recordings(texts: Sequence[str], how: How | None = None) -> list[Recording]:
    """List the recordings that texts name, in their order and with unique names.

    A folder with `rgb/` and `thermal/` gives one recording for all images and one for each video; a
    folder of recordings gives each of them.

    Args:
        texts: what `open_source` accepts, or folders of such.
        how: how to read them.

    Returns:
        The recordings; one that is there and cannot be opened says why in its description.

    Raises:
        SourceError: one of them is not there, holds nothing to evaluate, or is a simulation
            without an end.
    """
    how = how or How()
    found: dict[str, Recording] = {}
    for text in texts:
        for recording in _expand(text, how):
            name = recording.name
            for count in itertools.count(2):
                if name not in found:
                    break
                name = f'{recording.name}-{count}'
            found[name] = replace(recording, name=name)
    return list(found.values())


def _expand(text: str, how: How) -> Iterator[Recording]:
    path = Path(text).expanduser()
    if text == 'sim' or text.startswith('sim:'):
        if how.seconds is None:
            raise SourceError(f"'{text}' has no end: say how many seconds of it (--seconds)")
    elif path.is_dir() and not _is_bag(path):
        if any((path / name).is_dir() for name in ('rgb', 'thermal')):
            yield from _folder(path, how)
            return
        inside = [child for child in sorted(path.iterdir()) if _is_recording(child)]
        if inside:
            for child in inside:
                yield from _expand(str(child), how)
            return
    try:
        with open_source(text, **how._asdict()) as source:
            described, length_ns = source.describe(), source.duration_ns()
    except SourceError as error:
        if not path.exists() or not _is_bag(path):
            raise
        # A damaged recording is one among others: it is told with the results.
        described, length_ns = str(error), 0
    source_text = str(path.absolute()) if path.exists() else text
    yield Recording(_name(text), source_text, how, described, (length_ns or 0) / 1e9)


def _is_bag(path: Path) -> bool:
    try:
        return is_bag(path)
    except OSError as error:
        raise SourceError(f"'{path}' cannot be listed: {error.strerror}") from error


def _is_recording(path: Path) -> bool:
    if path.is_dir() and all((path / name).is_dir() for name in ('rgb', 'thermal')):
        return True
    return (path.is_dir() or path.is_file()) and _is_bag(path)


def _folder(path: Path, how: How) -> Iterator[Recording]:
    """Take a folder apart: its images, and each of its videos."""
    given, path = str(path), path.absolute()  # workers may stand in another folder
    source = FolderSource(path, rate_hz=how.rate_hz)
    stills = [pair for part in source.recordings if isinstance(part, list) for pair in part]
    videos = [part for part in source.recordings if not isinstance(part, list)]
    several = len(videos) + bool(stills) > 1
    if stills and how.rate_hz is not None:
        if videos:
            raise SourceError(
                f"'{path}' holds images and videos, so that --rate is not clear: put them into "
                'two folders')
        yield Recording(_name(str(path)), str(path), how,
                        source.describe().replace(str(path), given),
                        (source.duration_ns() or 0) / 1e9,
                        names=tuple(pair.stem for pair in stills))
    elif stills:
        yield Recording(
            _name(str(path)), str(path), how, f"folder '{given}': {len(stills)} pairs of stills",
            len(stills) * STILL_S, stills=tuple(stills))
    for rgb, thermal in videos:
        one = _video(path, rgb, thermal, how, several)
        yield replace(one, description=one.description.replace(str(path), given))


def _video(path: Path, rgb: Video, thermal: Video, how: How, several: bool) -> Recording:
    name = f'{_name(str(path))}-{rgb.path.stem}' if several else _name(str(path))
    recording = Recording(name, str(rgb.path), how, '', 0.0, thermal=str(thermal.path))
    with recording.open() as source:
        length_ns = source.duration_ns()
        return replace(recording, description=source.describe(), length_s=(length_ns or 0) / 1e9)


def _name(text: str) -> str:
    """Name of a recording that any file system takes."""
    last = text if text.startswith('sim') else Path(text).expanduser().resolve().name
    for suffix in ('.mcap', '.db3', '.bag'):
        last = last.removesuffix(suffix)
    return re.sub(r'[^A-Za-z0-9._-]+', '_', last).strip('._') or 'recording'
