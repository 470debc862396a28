# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairs to calibrate a rig with: out of recordings, videos and stills."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from ivif_ros.bags.pairs import paired
from ivif_ros.cli.console import progress, progress_bar, warn
from ivif_ros.cli.stills import find_pairs
from ivif_ros.counters import Counters
from ivif_ros.errors import ImageError, IvifError, ParameterError, SourceError
from ivif_ros.frame_source import FrameSource
from ivif_ros.image_file import VIDEO_SUFFIXES
from ivif_ros.parameters import Parameters
from ivif_ros.registration.frame_picker import NamedPair, pick_pairs
from ivif_ros.sources import open_source
from ivif_ros.sources.images import read_image
from ivif_ros.sync import Synchroniser
from ivif_ros.thermal import ThermalNormaliser
from ivif_ros.types import Array, CameraModel, Frame, Sensor


class CalibrationPairs:
    """The pairs that a command line names, and what came with them.

    Attributes:
        seen: usable pairs of the stream so far.
        rgb_camera: intrinsics of the colour camera that the newest frame carried, or None.
        thermal_camera: those of the thermal camera.
    """

    def __init__(self, params: Parameters) -> None:
        """Start without pairs."""
        self._params = params
        self._normaliser = ThermalNormaliser(params.thermal)
        self.seen = 0
        self.rgb_camera: CameraModel | None = None
        self.thermal_camera: CameraModel | None = None

    def picked(self, args: argparse.Namespace) -> list[NamedPair]:
        """Read what the arguments name and keep the pairs that differ most.

        Args:
            args: `source`, or `rgb` and `thermal`; `pairs`, `seconds` and the topics.

        Raises:
            ParameterError: both or none of the two ways to name images.
            SourceError: it cannot be read, or has no pairs.
        """
        stills = _stills(args)
        if stills is not None:
            return pick_pairs(self._read(*stills), args.pairs)
        with open_source(args.source, seconds=args.seconds, rgb_topic=args.rgb_topic,
                         thermal_topic=args.thermal_topic) as source:
            print(source.describe())
            return pick_pairs(self._stream(source), args.pairs)

    def _read(self, rgb: Path, thermal: Path) -> Iterator[NamedPair]:
        pairs = find_pairs(rgb, thermal)
        for pair in progress(pairs, 'read'):
            try:
                images = read_image(pair.rgb, 'rgb'), read_image(pair.thermal, 'thermal')
                named = self._named(pair.stem, *images)
            except IvifError as error:
                warn(f'{pair.stem}: {error}')
                continue
            yield named
        if not self.seen:
            raise SourceError(f"not one of the {len(pairs)} pairs of '{rgb}' and '{thermal}' can "
                              'be used')

    def _stream(self, source: FrameSource) -> Iterator[NamedPair]:
        """The complete pairs of a stream, each pair once, named by its time."""
        counters = Counters()
        length_ns = source.duration_ns()
        first_ns: int | None = None
        frames = 0
        with progress_bar('read, s', None if length_ns is None else length_ns / 1e9) as show:

            def on_frame(_: Sensor, frame: Frame) -> None:
                nonlocal first_ns, frames
                now_ns = frame.received_ns
                first_ns = now_ns if first_ns is None else first_ns
                frames += 1
                show((now_ns - first_ns) / 1e9)

            start_ns: int | None = None
            for pair, _ in paired(source, Synchroniser(self._params.sync, counters), on_frame):
                if pair.rgb is None or pair.thermal is None or pair.held:
                    continue
                start_ns = pair.stamp_ns if start_ns is None else start_ns
                self.rgb_camera = pair.rgb.camera or self.rgb_camera
                self.thermal_camera = pair.thermal.camera or self.thermal_camera
                try:
                    named = self._named(f'{(pair.stamp_ns - start_ns) / 1e9:.2f} s',
                                        pair.rgb.image, pair.thermal.image)
                except ImageError as error:
                    counters.add(f'pair.{error.reason}')
                    continue
                yield named
        if not self.seen:
            counts = {**source.problems.snapshot(), **counters.snapshot()}
            raise SourceError(
                f'{frames} frames and no pair of both cameras among them'
                + ''.join(f', {name} {count}' for name, count in counts.items())
                + ': images of both within sync.tolerance_ms (--set sync.tolerance_ms=MS) are '
                'needed')

    def _named(self, name: str, rgb: Array, thermal: Array) -> NamedPair:
        # Each pair by itself: levels that follow the scene would carry one image into another.
        self._normaliser.reset()
        pair = NamedPair(name, rgb, self._normaliser.apply(thermal, 0))
        self.seen += 1
        return pair


def _stills(args: argparse.Namespace) -> tuple[Path, Path] | None:
    """The two folders or files of stills that are named; None for a stream."""
    if (args.rgb is None) != (args.thermal is None) or (args.source is None) == (args.rgb is None):
        raise ParameterError(
            'name the images once: a recording or a folder with rgb/ and thermal/, or --rgb and '
            '--thermal')
    if args.rgb is not None:
        return args.rgb, args.thermal
    folders = Path(args.source) / 'rgb', Path(args.source) / 'thermal'
    if not all(folder.is_dir() for folder in folders) or any(
            file.suffix.lower() in VIDEO_SUFFIXES for folder in folders
            for file in folder.iterdir()):
        return None
    return folders
