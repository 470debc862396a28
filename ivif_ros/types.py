# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""The nouns of the package: immutable values that check their shapes.

Conventions that hold everywhere:

* Stamps are integer nanoseconds since the epoch of the recording's clock.
* Colour images are (H, W, 3) uint8 in blue, green, red order; thermal images are (H, W) uint8,
  uint16 or float32 as the camera gave them. Rows run down, columns run right.
* Pixel (0, 0) is the centre of the top left pixel; coordinates are (x, y).
* A deformation is a *backward* map: RGB pixel -> thermal pixel, so that the registered thermal
  image is sampled from the raw thermal image in one step.
* Frames of cameras are optical frames (REP-103): z forward, x right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from ivif_ros.errors import CalibrationError, ImageError

Array = npt.NDArray[Any]
Size = tuple[int, int]
"""Width, height in pixels."""
Sensor = Literal['rgb', 'thermal']
"""Which of the two cameras."""


ASPECT_TOLERANCE = 0.01
"""Relative difference of aspect ratio up to which another size means a resized image (REP-104)."""


def same_aspect(one: Size, other: Size) -> bool:
    """True where two sizes can be the same image, resized."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= ASPECT_TOLERANCE


class Mode(IntEnum):
    """What a result was made of; values equal the constants of ivif_ros/msg/Status."""

    FUSED = 0
    RGB_ONLY = 1
    THERMAL_ONLY = 2


class DeformationSource(IntEnum):
    """Where a deformation came from; values equal the constants of ivif_ros/msg/Deformation."""

    NONE = 0
    """Nothing known: the thermal image is stretched onto the RGB grid."""
    CALIBRATION = 1
    """Intrinsics and extrinsics, reprojected at the working distance."""
    ESTIMATED = 2
    """Refined from the images and accepted."""
    LAST_GOOD = 3
    """The newest estimate was not credible; the last accepted one is still in use."""


@dataclass(frozen=True, eq=False)
class CameraModel:
    """Intrinsics of one camera, as in sensor_msgs/CameraInfo.

    Attributes:
        width: image width in pixels that the matrix refers to.
        height: image height in pixels that the matrix refers to.
        matrix: (3, 3) float64 camera matrix K in pixels.
        distortion: (n,) float64 coefficients D; empty for an ideal lens.
        distortion_model: `plumb_bob`, `rational_polynomial` or `equidistant`.
    """

    width: int
    height: int
    matrix: Array
    distortion: Array = field(default_factory=lambda: np.zeros(0))
    distortion_model: str = 'plumb_bob'

    def __post_init__(self) -> None:
        """Check the figures and freeze the arrays.

        Raises:
            CalibrationError: impossible size, matrix or distortion.
        """
        matrix = np.array(self.matrix, np.float64)
        distortion = np.array(self.distortion, np.float64).reshape(-1)
        if self.width <= 0 or self.height <= 0:
            raise CalibrationError(
                f'camera size is {self.width}x{self.height}, expected positive pixels')
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            raise CalibrationError(
                f'camera matrix has shape {matrix.shape} or is not finite, expected 3x3 numbers')
        if matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
            raise CalibrationError(
                f'focal lengths are {matrix[0, 0]:g} and {matrix[1, 1]:g} px, expected > 0 '
                '(an all-zero K means that the camera is not calibrated)')
        counts = {'plumb_bob': (0, 4, 5), 'rational_polynomial': (0, 8, 12, 14),
                  'equidistant': (0, 4)}
        if self.distortion_model not in counts:
            raise CalibrationError(
                f"distortion model '{self.distortion_model}' is not one of {sorted(counts)}")
        if len(distortion) not in counts[self.distortion_model]:
            raise CalibrationError(
                f'{self.distortion_model} has {len(distortion)} coefficients, '
                f'expected one of {counts[self.distortion_model]}')
        if not np.isfinite(distortion).all():
            raise CalibrationError('distortion coefficients are not finite')
        matrix.setflags(write=False)
        distortion.setflags(write=False)
        object.__setattr__(self, 'matrix', matrix)
        object.__setattr__(self, 'distortion', distortion)

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return self.width, self.height

    def scaled_to(self, size: Size) -> CameraModel:
        """The same lens seen by an image of another size (binning or resizing, REP-104)."""
        if size == self.size:
            return self
        sx, sy = size[0] / self.width, size[1] / self.height
        # Pixel centres are integers, so the principal point moves by the half pixel as well.
        scale = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
        return CameraModel(size[0], size[1], scale @ self.matrix, self.distortion,
                           self.distortion_model)


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of one camera.

    Attributes:
        stamp_ns: time of exposure in nanoseconds, as the camera stamped it.
        frame_id: optical frame of the camera.
        image: (H, W, 3) uint8 BGR, or (H, W) uint8, uint16 or float32.
        camera: intrinsics, or None where no camera_info is known.
        received_ns: monotonic clock in nanoseconds when the frame arrived (live), or the
            recording's receive time (offline); for latencies and bounded waits, never for pairing.
    """

    stamp_ns: int
    frame_id: str
    image: Array
    camera: CameraModel | None = None
    received_ns: int = 0

    def __post_init__(self) -> None:
        """Check the image.

        Raises:
            ImageError: empty image, wrong number of channels or dtype.
        """
        check_image(self.image, f"image of frame '{self.frame_id}'")

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return int(self.image.shape[1]), int(self.image.shape[0])


def check_image(image: Array, name: str) -> None:
    """Reject what no stage can work with.

    Args:
        image: (H, W, 3) uint8 or (H, W) uint8, uint16, float32.
        name: what to call it in the message.

    Raises:
        ImageError: any other shape or dtype, or an empty image.
    """
    shape, dtype = image.shape, image.dtype
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3):
        raise ImageError(f'{name} has shape {shape}, expected (H, W) or (H, W, 3)', 'bad_shape')
    if shape[0] == 0 or shape[1] == 0:
        raise ImageError(f'{name} has zero size {shape}, expected at least 1x1', 'empty')
    allowed = ('uint8',) if len(shape) == 3 else ('uint8', 'uint16', 'float32')
    if dtype.name not in allowed:
        raise ImageError(f'{name} has dtype {dtype}, expected one of {allowed}', 'bad_dtype')


@dataclass(frozen=True)
class ThermalOffset:
    """What must be added to thermal stamps so that they agree with RGB stamps.

    A thermal camera whose stamps come 80 ms late has an offset of -80 ms.

    Attributes:
        in_use_ms: what pairing added to thermal stamps, less what it added to RGB stamps.
        estimate_ms: what `sync.thermal_offset_ms` should be, from motion; NaN where unknown.
        std_ms: standard deviation of the error of the estimate; NaN where unknown.
    """

    in_use_ms: float = 0.0
    estimate_ms: float = float('nan')
    std_ms: float = float('nan')


@dataclass(frozen=True, eq=False)
class FramePair:
    """What the cameras saw at (nearly) the same time; one of the two may be missing.

    Attributes:
        rgb: frame of the colour camera, the reference of everything, or None.
        thermal: frame of the thermal camera, or None.
        skew_ns: thermal minus RGB stamp in nanoseconds, after the configured offsets; 0 where one
            is missing.
        held: True where the thermal frame has served an earlier RGB frame already.
        offset: how the clocks of the cameras were brought together for this pair.
    """

    rgb: Frame | None
    thermal: Frame | None
    skew_ns: int = 0
    held: bool = False
    offset: ThermalOffset = ThermalOffset()

    def __post_init__(self) -> None:
        """A pair without any frame is a defect of the caller."""
        if self.rgb is None and self.thermal is None:
            raise ValueError('a pair needs at least one frame')

    @property
    def stamp_ns(self) -> int:
        """Stamp of the RGB frame, else that of the thermal frame as its camera gave it."""
        if self.rgb is not None:
            return self.rgb.stamp_ns
        assert self.thermal is not None
        return self.thermal.stamp_ns

    @property
    def received_ns(self) -> int:
        """When the later of the two arrived."""
        return max(frame.received_ns for frame in (self.rgb, self.thermal) if frame is not None)


@dataclass(frozen=True, eq=False)
class Deformation:
    """Backward map from RGB pixels to thermal pixels: homography, then a smooth displacement.

    `thermal_xy = dehomogenise(homography @ (x, y, 1)) + bilinear(grid)(x, y)`. Node (i, j) of the
    grid (row i, column j) stands at RGB pixel (j (W - 1) / (gw - 1), i (H - 1) / (gh - 1)): the
    outer nodes stand on the outer pixel centres.

    Attributes:
        rgb_size: width, height of the RGB grid in pixels.
        thermal_size: width, height of the thermal image in pixels.
        homography: (3, 3) float64, RGB pixel -> thermal pixel.
        grid: (gh, gw, 2) float32 displacement in thermal pixels, or None.
        confidence: 0 (no trust) to 1.
        residual_px: expected remaining error in RGB pixels; NaN where unknown.
        source: where it came from.
        confidence_map: (rows, columns) float32, trust in each place from 0 to 1, or None where
            only that of the whole is known. Its nodes stand like those of a grid of its shape.
    """

    rgb_size: Size
    thermal_size: Size
    homography: Array
    grid: Array | None = None
    confidence: float = 0.0
    residual_px: float = float('nan')
    source: DeformationSource = DeformationSource.NONE
    confidence_map: Array | None = None

    def __post_init__(self) -> None:
        """Check shapes and freeze the arrays.

        Raises:
            CalibrationError: wrong shape, not finite, singular, or confidence outside 0 to 1.
        """
        homography = _frozen(self.homography, np.float64)
        if homography.shape != (3, 3) or not np.isfinite(homography).all():
            raise CalibrationError(
                f'homography has shape {homography.shape} or is not finite, expected 3x3 numbers')
        if abs(np.linalg.det(homography)) < 1e-12:
            raise CalibrationError('homography is singular: it maps the image onto a line')
        if not 0.0 <= self.confidence <= 1.0:
            raise CalibrationError(f'confidence is {self.confidence}, expected 0 to 1')
        object.__setattr__(self, 'homography', homography)
        if self.grid is not None:
            grid = _frozen(self.grid, np.float32)
            if grid.ndim != 3 or grid.shape[2] != 2 or min(grid.shape[:2]) < 2:
                raise CalibrationError(
                    f'displacement grid has shape {grid.shape}, expected (>=2, >=2, 2)')
            if not np.isfinite(grid).all():
                raise CalibrationError('displacement grid is not finite')
            object.__setattr__(self, 'grid', grid)
        if self.confidence_map is not None:
            trust = _frozen(self.confidence_map, np.float32)
            if trust.ndim != 2 or min(trust.shape) < 2:
                raise CalibrationError(
                    f'confidence map has shape {trust.shape}, expected (>=2, >=2)')
            if not (trust.min() >= 0.0 and trust.max() <= 1.0):
                raise CalibrationError(
                    f'confidence map holds {trust.min()} to {trust.max()}, expected 0 to 1')
            object.__setattr__(self, 'confidence_map', trust)

    @classmethod
    def stretch(cls, rgb_size: Size, thermal_size: Size) -> Deformation:
        """Stretch the whole thermal image onto the RGB image: the guess without knowledge."""
        sx, sy = thermal_size[0] / rgb_size[0], thermal_size[1] / rgb_size[1]
        homography = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
        return cls(rgb_size, thermal_size, homography)


def _frozen(values: Array, dtype: npt.DTypeLike) -> Array:
    """A copy that cannot be written; an array that is one already keeps its identity."""
    if (isinstance(values, np.ndarray) and values.dtype == dtype and values.flags.owndata
            and not values.flags.writeable):
        return values
    copy = np.array(values, dtype)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects found in one image.

    Attributes:
        boxes: (n, 4) float32 x0, y0, x1, y1 in pixels of the image named by the holder (RGB grid
            unless said otherwise), counted from the outer edge of the first pixel as detectors do:
            the whole image is 0, 0, W, H.
        scores: (n,) float32 in 0..1.
        class_ids: (n,) int64, index into names.
        names: class names by id.
        track_ids: (n,) int64, the same for the same object in image after image, -1 where the
            object has no track yet; None where nothing is tracked.
    """

    boxes: Array
    scores: Array
    class_ids: Array
    names: dict[int, str]
    track_ids: Array | None = None

    def __post_init__(self) -> None:
        """Check that the lengths agree."""
        boxes = np.asarray(self.boxes, np.float32).reshape(-1, 4)
        scores = np.asarray(self.scores, np.float32).reshape(-1)
        class_ids = np.asarray(self.class_ids, np.int64).reshape(-1)
        if not len(boxes) == len(scores) == len(class_ids):
            raise ValueError(
                f'{len(boxes)} boxes, {len(scores)} scores and {len(class_ids)} class ids, '
                'expected the same number')
        object.__setattr__(self, 'boxes', boxes)
        object.__setattr__(self, 'scores', scores)
        object.__setattr__(self, 'class_ids', class_ids)
        if self.track_ids is not None:
            track_ids = np.asarray(self.track_ids, np.int64).reshape(-1)
            if len(track_ids) != len(boxes):
                raise ValueError(f'{len(boxes)} boxes and {len(track_ids)} track ids, expected the '
                                 'same number')
            object.__setattr__(self, 'track_ids', track_ids)

    def __len__(self) -> int:
        """Count the objects."""
        return len(self.scores)

    def where(self, keep: Array) -> Detections:
        """The objects for which an (n,) bool array is True."""
        return Detections(self.boxes[keep], self.scores[keep], self.class_ids[keep], self.names,
                          None if self.track_ids is None else self.track_ids[keep])


class Outcome(Protocol):
    """What a record of one pair tells, after fusion or after registration alone."""

    @property
    def pair(self) -> FramePair:
        """The input."""

    @property
    def mode(self) -> Mode:
        """What the fused image is made of."""

    @property
    def reason(self) -> str:
        """Why it is not a full fusion; empty for one."""

    @property
    def deformation(self) -> Deformation | None:
        """Map that was used."""

    @property
    def latency_ms(self) -> dict[str, float]:
        """Stage name -> milliseconds."""


@dataclass(frozen=True, eq=False)
class FusionResult:
    """Everything the pipeline knows about one pair.

    Attributes:
        pair: the input.
        mode: what the fused image was made of.
        reason: why it is not a full fusion; empty for one.
        fused: (H, W, 3) uint8 BGR on the RGB grid (thermal grid while no RGB frame was ever seen).
        thermal_registered: (H, W) uint8 thermal on the RGB grid, or None without a thermal frame.
        deformation: map that was used, or None without a thermal frame.
        detections: objects in RGB pixels, or None where detection did not run.
        latency_ms: stage name -> milliseconds.
        contribution: (H, W) uint8 share of the thermal image in the fused one, 0 (RGB) to 255, or
            None where it was not asked for.
    """

    pair: FramePair
    mode: Mode
    reason: str
    fused: Array
    thermal_registered: Array | None
    deformation: Deformation | None
    detections: Detections | None
    latency_ms: dict[str, float]
    contribution: Array | None = None
