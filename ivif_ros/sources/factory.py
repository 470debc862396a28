# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""One text, one source: what `--source` and the commands on recordings accept."""

from __future__ import annotations

from pathlib import Path

from ivif_ros.errors import SourceError
from ivif_ros.frame_source import FrameSource
from ivif_ros.sources.shaping import LimitedSource, LoopedSource

ROSBAG2_SUFFIXES = ('.mcap', '.db3')
BAG_SUFFIXES = (*ROSBAG2_SUFFIXES, '.bag')
ACCEPTED = ("'sim', a recording (rosbag2 folder, .mcap, .db3 or .bag), or a folder with rgb/ and "
            'thermal/')


def open_source(text: str | Path, *, seconds: float | None = None, rate_hz: float | None = None,
                loop: bool = False, rgb_topic: str | None = None,
                thermal_topic: str | None = None) -> FrameSource:
    """Open a source of frames.

    Args:
        text: `sim` with options such as `sim:night,seed=3`, a rosbag2 folder, a `.mcap`, `.db3` or
            `.bag` file, or a folder with `rgb/` and `thermal/`.
        seconds: stop after this much time of the stream; None for all of it.
        rate_hz: pairs per second of a folder; None for its default.
        loop: begin again at the end, with growing stamps.
        rgb_topic: topic of the colour camera in a recording; None finds it.
        thermal_topic: topic of the thermal camera in a recording; None finds it.

    Raises:
        SourceError: it cannot be read; the message says why and what to do.
    """
    source = _open(str(text), rate_hz, rgb_topic, thermal_topic)
    try:
        if loop and source.duration_ns() is not None:
            source = LoopedSource(source)
        return source if seconds is None else LimitedSource(source, seconds)
    except SourceError:
        source.close()
        raise


def is_bag(path: Path) -> bool:
    """Tell whether a path is (or should be) a recording: a bag file, or a folder of rosbag2."""
    if path.is_file():
        return path.suffix.lower() in BAG_SUFFIXES
    if (path / 'metadata.yaml').exists():
        return True
    # One without metadata was not closed. Bags of ROS 1 are files: a folder is one of several.
    return any(file.suffix.lower() in ROSBAG2_SUFFIXES for file in path.iterdir())


def _open(text: str, rate_hz: float | None, rgb_topic: str | None,
          thermal_topic: str | None) -> FrameSource:
    # The readers are imported when they are needed, so that the command line starts at once.
    if text == 'sim' or text.startswith('sim:'):
        from ivif_ros.sources.simulated import SimulatedSource

        return SimulatedSource.from_text(text)
    path = Path(text).expanduser()
    if not path.exists():
        raise SourceError(f"source '{text}' is not there; give {ACCEPTED}")
    try:
        bag = is_bag(path)
    except OSError as error:
        raise SourceError(f"source '{text}' cannot be listed: {error.strerror}") from error
    if bag:
        from ivif_ros.bags.reader import BagSource

        return BagSource(path, rgb_topic=rgb_topic, thermal_topic=thermal_topic)
    if path.is_file():
        raise SourceError(f"source '{text}' is a file that is not a recording; give {ACCEPTED}")
    if not any((path / name).is_dir() for name in ('rgb', 'thermal')):
        raise SourceError(f"folder '{text}' holds neither metadata.yaml nor rgb/ and thermal/; "
                          f'give {ACCEPTED}')
    from ivif_ros.sources.folder import FolderSource

    return FolderSource(path, rate_hz=rate_hz)
