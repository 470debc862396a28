# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Frames of any source as a recording of a rig: images, camera_info, description and truth."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ivif_ros.bags.outputs import Compression, ImageWriter
from ivif_ros.bags.truth_file import Truth, truth_path
from ivif_ros.bags.writer import BagWriter, Storage
from ivif_ros.errors import CalibrationError, OutputError, SourceError
from ivif_ros.registration import Calibration, fitted_deformation
from ivif_ros.ros.encodings import encoding_of
from ivif_ros.ros.messages import camera_info_message
from ivif_ros.ros.rosbags_messages import RosbagsFactory
from ivif_ros.sources.disturbed import DisturbedSource
from ivif_ros.types import CameraModel, Deformation, Frame, Sensor, Size, same_aspect

DESCRIPTION_TOPIC = '/recording_description'
"""Latched std_msgs/String in the recording: JSON that says how it was made."""
SENSORS: tuple[Sensor, Sensor] = ('rgb', 'thermal')

IntrinsicsSource = Literal['source', 'calibration', 'assumed']
Progress = Callable[[float], None]
"""Told the seconds of the stream that are written."""


def assumed_camera(size: Size, fov_deg: float) -> CameraModel:
    """An ideal lens with square pixels and the principal point in the middle.

    Args:
        size: width, height of the image in pixels.
        fov_deg: horizontal field of view in degrees, from edge to edge of the image.
    """
    width, height = size
    focal = width / 2 / math.tan(math.radians(fov_deg) / 2)
    return CameraModel(width, height, np.array(
        [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]]))


class Intrinsics:
    """What goes into camera_info: the calibration, else what the source knows, else a guess.

    Args:
        calibration: of the rig, or None.
        rgb_fov_deg: horizontal field of view of the colour camera where nobody knows.
        thermal_fov_deg: the same of the thermal camera.

    Attributes:
        used: where the intrinsics of each camera came from, as far as it was asked for.
    """

    def __init__(self, calibration: Calibration | None, rgb_fov_deg: float,
                 thermal_fov_deg: float) -> None:
        """Keep what is known."""
        for name, fov_deg in (('rgb', rgb_fov_deg), ('thermal', thermal_fov_deg)):
            if not 1 <= fov_deg <= 170:
                raise CalibrationError(
                    f'assumed field of view of the {name} camera is {fov_deg:g} degrees, expected '
                    '1 to 170')
        self._calibration = calibration
        self._fov_deg: dict[Sensor, float] = {'rgb': rgb_fov_deg, 'thermal': thermal_fov_deg}
        self.used: dict[Sensor, IntrinsicsSource] = {}

    def of(self, sensor: Sensor, frame: Frame) -> CameraModel:
        """Intrinsics for the images of a frame.

        Raises:
            CalibrationError: the calibration is one of images of another shape.
        """
        calibration = self._calibration
        known = None if calibration is None else (
            calibration.rgb if sensor == 'rgb' else calibration.thermal)
        if known is not None:
            if not same_aspect(known.size, frame.size):
                raise CalibrationError(
                    f'calibration of the {sensor} camera is for {known.width}x{known.height} px, '
                    f'the images have {frame.size[0]}x{frame.size[1]}: it is one of another camera')
            self.used[sensor] = 'calibration'
            return known.scaled_to(frame.size)
        if frame.camera is not None:
            self.used[sensor] = 'source'
            return frame.camera
        self.used[sensor] = 'assumed'
        return assumed_camera(frame.size, self._fov_deg[sensor])

    def words(self, sensor: Sensor) -> str:
        """Say where the intrinsics of a camera are from."""
        used = self.used.get(sensor)
        if used == 'assumed':
            return f'ASSUMED: ideal lens of {self._fov_deg[sensor]:g} degrees'
        return {'calibration': 'from the calibration file', 'source': 'as the source has them',
                None: 'none'}[used]


@dataclass
class ImportedCamera:
    """What was written of one camera.

    Attributes:
        topic: of the images.
        frames: number of images.
        size: width, height of the images in pixels.
        encoding: of the images, such as `mono16`.
        first_ns: stamp of the first image.
        last_ns: stamp of the last image.
    """

    topic: str
    frames: int = 0
    size: Size = (0, 0)
    encoding: str = ''
    first_ns: int = 0
    last_ns: int = 0

    def add(self, frame: Frame) -> None:
        """Count one image."""
        if not self.frames:
            self.size, self.encoding = frame.size, encoding_of(frame.image)
            self.first_ns = frame.stamp_ns
        self.frames += 1
        self.last_ns = frame.stamp_ns

    @property
    def rate_hz(self) -> float:
        """Mean rate of the stamps; NaN for fewer than two images."""
        span_ns = self.last_ns - self.first_ns
        return (self.frames - 1) * 1e9 / span_ns if span_ns > 0 else math.nan


@dataclass(frozen=True)
class ImportSummary:
    """What an import did.

    Attributes:
        cameras: what was written of each camera.
        left_out: frames that were left out on purpose, by reason.
        problems: what of the source could not be used, by reason.
        truth: the truth file; None where the truth is not known.
        bytes: size of the recording on disk.
    """

    cameras: dict[Sensor, ImportedCamera]
    left_out: dict[str, int]
    problems: dict[str, int]
    truth: Path | None
    bytes: int


@dataclass
class Importer:
    """Writes one recording.

    Attributes:
        source: the frames, with what is done to them.
        intrinsics: what goes into camera_info.
        aligned: True where pairs lie on each other pixel by pixel before what is done to them, so
            that the truth is known.
        simulator: text of the simulated rig where the frames are its; else empty.
        thermal_offset_ms: true offset of the clocks; None where nobody knows.
        calibration: of the rig; a deformation in it is the truth.
        description: what else is to be said about the recording, for the description topic.
    """

    source: DisturbedSource
    intrinsics: Intrinsics
    aligned: bool = False
    simulator: str = ''
    thermal_offset_ms: float | None = None
    calibration: Calibration | None = None
    description: dict[str, Any] = field(default_factory=dict)

    def write(self, out: Path, *, storage: Storage = 'mcap', compression: Compression = 'none',
              quality: int = 85, progress: Progress | None = None) -> ImportSummary:
        """Write all frames into a new recording, and the truth beside it.

        Args:
            out: folder of the recording; it is made with the first frame.
            storage: `mcap` or `sqlite3`.
            compression: of the images; 16-bit images are compressed as PNG.
            quality: 1 to 100 for jpeg and webp.
            progress: told what is done.

        Raises:
            SourceError: the source cannot be read, or it has no frame.
            CalibrationError: the calibration does not fit the images.
            OutputError: the recording exists or cannot be written, or the truth cannot.
        """
        suffix = '' if compression == 'none' else '/compressed'
        cameras = {sensor: ImportedCamera(f'/{sensor}/image_raw{suffix}') for sensor in SENSORS}
        try:
            self._write_frames(out, cameras, storage, compression, quality, progress)
        except BaseException:
            # What was written until then can be used, and the truth holds for it.
            with suppress(OutputError, CalibrationError):
                self._save_truth(out, cameras)
            raise
        return ImportSummary(
            cameras, self.source.left_out.snapshot(), self.source.problems.snapshot(),
            self._save_truth(out, cameras), sum(file.stat().st_size for file in out.iterdir()))

    def _write_frames(self, out: Path, cameras: dict[Sensor, ImportedCamera], storage: Storage,
                      compression: Compression, quality: int, progress: Progress | None) -> None:
        factory = RosbagsFactory()
        models: dict[Sensor, CameraModel] = {}
        images: dict[Sensor, ImageWriter] = {}
        first_ns: int | None = None
        with ExitStack() as stack:
            for sensor, frame in self.source.frames():
                new = sensor not in models
                if new or models[sensor].size != frame.size:
                    models[sensor] = self.intrinsics.of(sensor, frame)
                if self.calibration is not None and self.calibration.deformation is not None and (
                        new and len(models) == len(SENSORS)):
                    # Complains about a calibration of another rig now, not when all is done.
                    fitted_deformation(self.calibration.deformation, models['rgb'].size,
                                       models['thermal'].size)
                if first_ns is None:
                    first_ns = frame.received_ns
                    writer = stack.enter_context(BagWriter(out, storage=storage))
                if new:
                    images[sensor] = ImageWriter(writer, factory, f'{sensor}/image_raw',
                                                 compression=compression, quality=quality)
                    # Who subscribes gets the newest one, which knows both cameras.
                    writer.write(DESCRIPTION_TOPIC, self._description(factory), frame.received_ns,
                                 latched=True)
                # camera_info goes first, so that who reads in order knows it when the image comes.
                writer.write(f'{sensor}/camera_info', camera_info_message(
                    factory, models[sensor], frame.stamp_ns, frame.frame_id), frame.received_ns)
                images[sensor].write(frame.image, frame.stamp_ns, frame.frame_id, frame.received_ns)
                cameras[sensor].add(frame)
                if progress is not None:
                    progress((frame.received_ns - first_ns) / 1e9)
        if first_ns is None:
            raise SourceError(f'nothing to import: {self.source.describe()} has no frame left')

    def _description(self, factory: RosbagsFactory) -> Any:
        """JSON that tells who opens the recording how it was made."""
        text = json.dumps({
            'source': self.source.describe(),
            'disturbance': asdict(self.source.disturbance),
            'camera_info': {sensor: self.intrinsics.words(sensor) for sensor in SENSORS
                            if sensor in self.intrinsics.used},
            **self.description}, indent=1)
        return factory.make('std_msgs/msg/String', data=text)

    def _save_truth(self, out: Path, cameras: dict[Sensor, ImportedCamera]) -> Path | None:
        """Write the truth beside the recording; returns its file, or None where nobody knows it."""
        truth = self._truth(cameras)
        if truth is None:
            return None
        path = truth_path(out)
        try:
            truth.save(path)
        except OSError as error:
            raise OutputError(f"truth file '{path}' cannot be written: {error.strerror}") from error
        return path

    def _truth(self, cameras: dict[Sensor, ImportedCamera]) -> Truth | None:
        """What is known for sure; None where nothing is."""
        rgb, thermal = (cameras[sensor] for sensor in SENSORS)
        if not (rgb.frames and thermal.frames):
            return None
        if self.simulator:
            known = Truth(self.thermal_offset_ms, simulator=self.simulator)
        elif self.calibration is not None and self.calibration.deformation is not None:
            known = Truth(self.thermal_offset_ms, fitted_deformation(
                self.calibration.deformation, rgb.size, thermal.size))
        elif self.aligned:
            known = Truth(self.thermal_offset_ms, Deformation.stretch(rgb.size, thermal.size))
        else:
            return None
        return replace(known, misalignment=self.source.misalignment)
