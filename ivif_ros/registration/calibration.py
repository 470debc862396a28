# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Calibration of the rig: two cameras, how they stand to each other, and the file that stores it.

The file is YAML that people can read, in the style of ROS camera_calibration.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ivif_ros.errors import CalibrationError, OutputError
from ivif_ros.registration.extrinsics import (
    check_rigid,
    matrix_from_quaternion,
    quaternion_from_matrix,
)
from ivif_ros.types import Array, CameraModel, Deformation, DeformationSource

_HEADER = """\
# Calibration of a colour and a thermal camera for ivif_ros.
#
# rgb, thermal:      intrinsics as camera_calibration writes them. Focal lengths and principal
#                    points in pixels of an image of image_width x image_height; images of another
#                    size are taken for resized ones. Lens: plumb_bob, rational_polynomial or
#                    equidistant.
# thermal_from_rgb:  where the thermal camera stands: X_thermal = R X_rgb + xyz. Metres; optical
#                    frames (x right, y down, z forward, REP-103); quaternion is x, y, z, w. A 4x4
#                    'matrix' may stand in place of xyz and quaternion. Equals the TF lookup of
#                    target frame = thermal optical frame, source frame = RGB optical frame.
# deformation:       measured map from RGB pixels to thermal pixels:
#                    thermal_xy = dehomogenise(homography (x, y, 1)) + bilinear(grid)(x, y),
#                    grid in thermal pixels, (x, y) node by node, row by row. Used before the
#                    others.
"""

_KEYS = ('rgb', 'thermal', 'thermal_from_rgb', 'deformation')


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is known about a rig; each part may be missing, but not all of them.

    Attributes:
        rgb: intrinsics of the colour camera, or None.
        thermal: intrinsics of the thermal camera, or None.
        thermal_from_rgb: (4, 4) float64 with `X_thermal = thermal_from_rgb @ X_rgb`, optical
            frames, in metres; None where nobody measured it (the cameras are then taken to look
            the same way from the same place).
        deformation: a map RGB -> thermal that was measured on images of this very rig, or None.
            It is the better first guess where both are known.
    """

    rgb: CameraModel | None = None
    thermal: CameraModel | None = None
    thermal_from_rgb: Array | None = None
    deformation: Deformation | None = None

    def __post_init__(self) -> None:
        """Check the transform and freeze it.

        Raises:
            CalibrationError: nothing known, or not a rigid transform.
        """
        if (self.rgb is None and self.thermal is None and self.deformation is None
                and self.thermal_from_rgb is None):
            raise CalibrationError(
                'calibration is empty, expected cameras, extrinsics or a deformation')
        if self.thermal_from_rgb is not None:
            matrix = check_rigid(self.thermal_from_rgb, 'thermal_from_rgb')
            matrix.setflags(write=False)
            object.__setattr__(self, 'thermal_from_rgb', matrix)

    @property
    def has_cameras(self) -> bool:
        """True where the intrinsics of both cameras are known."""
        return self.rgb is not None and self.thermal is not None

    def completed(self, rgb: CameraModel | None = None, thermal: CameraModel | None = None,
                  thermal_from_rgb: Array | None = None) -> Calibration:
        """Fill in what is missing, for example from camera_info and TF; what is known stays.

        Args:
            rgb: intrinsics of the colour camera.
            thermal: intrinsics of the thermal camera.
            thermal_from_rgb: (4, 4) transform as in the attribute, in metres.

        Raises:
            CalibrationError: not a rigid transform.
        """
        return replace(
            self, rgb=self.rgb or rgb, thermal=self.thermal or thermal,
            thermal_from_rgb=(thermal_from_rgb if self.thermal_from_rgb is None
                              else self.thermal_from_rgb))


def load_calibration(path: str | os.PathLike[str]) -> Calibration:
    """Read a calibration file.

    Args:
        path: YAML file with some of the keys `rgb`, `thermal`, `thermal_from_rgb`, `deformation`.

    Returns:
        What the file knows.

    Raises:
        CalibrationError: missing or unreadable file, not YAML, unknown or missing key, impossible
            value; the message names file, key and what was expected.
    """
    try:
        text = Path(path).read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(f"calibration file '{path}' cannot be read: {error}") from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CalibrationError(f"calibration file '{path}' is not YAML: {error}") from error
    try:
        return _calibration(_mapping(content, 'the file'))
    except CalibrationError as error:
        raise CalibrationError(f"calibration file '{path}': {error}") from error


def save_calibration(path: str | os.PathLike[str], calibration: Calibration) -> None:
    """Write a calibration file; an existing one is replaced at once or not at all.

    Args:
        path: file to write; its folder must exist.
        calibration: what is known; parts that are None are left out.

    Raises:
        OutputError: the file cannot be written.
    """
    parts = [_HEADER]
    for name, camera in (('rgb', calibration.rgb), ('thermal', calibration.thermal)):
        if camera is not None:
            parts.append(_camera_text(name, camera))
    if calibration.thermal_from_rgb is not None:
        matrix = calibration.thermal_from_rgb
        parts.append(
            'thermal_from_rgb:\n'
            f'  xyz: {_numbers(matrix[:3, 3])}\n'
            f'  quaternion: {_numbers(quaternion_from_matrix(matrix))}\n')
    if calibration.deformation is not None:
        parts.append(_deformation_text(calibration.deformation))
    target = Path(path)
    draft = target.with_name(f'.{target.name}.{os.getpid()}.part')
    try:
        draft.write_text('\n'.join(parts), encoding='utf-8')
        os.replace(draft, target)
    except OSError as error:
        draft.unlink(missing_ok=True) if draft.parent.is_dir() else None
        raise OutputError(f"calibration file '{path}' cannot be written: {error}") from error


def _calibration(content: dict[str, Any]) -> Calibration:
    for key in content:
        if key not in _KEYS:
            raise CalibrationError(f"unknown key '{key}', expected some of {list(_KEYS)}")
    rgb, thermal, transform, deformation = (content.get(key) for key in _KEYS)
    return Calibration(
        None if rgb is None else _camera(rgb, 'rgb'),
        None if thermal is None else _camera(thermal, 'thermal'),
        None if transform is None else _transform(transform, 'thermal_from_rgb'),
        None if deformation is None else _deformation(deformation, 'deformation'))


def _camera(value: Any, key: str) -> CameraModel:
    content = _mapping(value, key)
    # camera_calibration also writes camera_name, rectification_matrix and projection_matrix,
    # which the raw images that are registered here do not need.
    matrix = _matrix(_entry(content, 'camera_matrix', key), f'{key}.camera_matrix', (3, 3))
    distortion = content.get('distortion_coefficients')
    coefficients = (np.zeros(0) if distortion is None else
                    _matrix(distortion, f'{key}.distortion_coefficients', None).reshape(-1))
    model = content.get('distortion_model', 'plumb_bob')
    if not isinstance(model, str):
        raise CalibrationError(f"key '{key}.distortion_model' is {model!r}, expected a name")
    try:
        return CameraModel(
            _count(content, 'image_width', key), _count(content, 'image_height', key), matrix,
            coefficients, 'equidistant' if model == 'fisheye' else model)
    except CalibrationError as error:
        raise CalibrationError(f"key '{key}': {error}") from error


def _transform(value: Any, key: str) -> Array:
    content = _mapping(value, key)
    try:
        if 'matrix' in content:
            raw = content['matrix']
            if isinstance(raw, list) and len(raw) == 16:
                raw = np.reshape(_list(raw, f'{key}.matrix', 16), (4, 4))
            return check_rigid(raw, f'{key}.matrix')
        return matrix_from_quaternion(
            _list(_entry(content, 'xyz', key), f'{key}.xyz', 3),
            _list(_entry(content, 'quaternion', key), f'{key}.quaternion', 4))
    except CalibrationError as error:
        raise CalibrationError(f"key '{key}': {error}") from error


def _deformation(value: Any, key: str) -> Deformation:
    content = _mapping(value, key)
    sizes = [_list(_entry(content, name, key), f'{key}.{name}', 2).astype(int)
             for name in ('rgb_size', 'thermal_size')]
    for name, size in zip(('rgb_size', 'thermal_size'), sizes, strict=True):
        if size.min() <= 0:
            raise CalibrationError(
                f"key '{key}.{name}' is {size.tolist()}, expected positive pixels")
    grid = None
    if content.get('grid') is not None:
        nodes = _mapping(content['grid'], f'{key}.grid')
        rows, columns = (_count(nodes, name, f'{key}.grid') for name in ('rows', 'cols'))
        grid = _list(_entry(nodes, 'data', f'{key}.grid'), f'{key}.grid.data',
                     rows * columns * 2).reshape(rows, columns, 2)
    homography = _matrix(_entry(content, 'homography', key), f'{key}.homography', (3, 3))
    confidence = float(_list([content.get('confidence', 1.0)], f'{key}.confidence', 1)[0])
    residual = (float('nan') if content.get('residual_px') is None
                else _list([content['residual_px']], f'{key}.residual_px', 1)[0])
    try:
        return Deformation(
            (int(sizes[0][0]), int(sizes[0][1])), (int(sizes[1][0]), int(sizes[1][1])), homography,
            grid, confidence, float(residual), DeformationSource.CALIBRATION)
    except CalibrationError as error:
        raise CalibrationError(f"key '{key}': {error}") from error


def _mapping(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CalibrationError(f"'{key}' holds {type(value).__name__}, expected keys with values")
    return value


def _entry(content: dict[str, Any], name: str, key: str) -> Any:
    if name not in content:
        raise CalibrationError(f"key '{key}.{name}' is missing")
    return content[name]


def _count(content: dict[str, Any], name: str, key: str) -> int:
    value = _entry(content, name, key)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise CalibrationError(f"key '{key}.{name}' is {value!r}, expected a positive whole number")
    return value


def _list(value: Any, key: str, length: int) -> Array:
    try:
        numbers = np.array(value, np.float64)
    except (TypeError, ValueError):
        numbers = np.zeros((0, 0))
    if numbers.shape != (length,) or not np.isfinite(numbers).all():
        raise CalibrationError(f"key '{key}' is not a list of {length} finite numbers")
    return numbers


def _matrix(value: Any, key: str, shape: tuple[int, int] | None) -> Array:
    content = _mapping(value, key)
    rows, columns = _shape(content, key)
    if shape is not None and (rows, columns) != shape:
        raise CalibrationError(
            f"key '{key}' is {rows}x{columns}, expected {shape[0]}x{shape[1]}")
    data = _entry(content, 'data', key)
    return _list(data, f'{key}.data', rows * columns).reshape(rows, columns)


def _shape(content: dict[str, Any], key: str) -> tuple[int, int]:
    shape = []
    for name in ('rows', 'cols'):
        value = _entry(content, name, key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise CalibrationError(f"key '{key}.{name}' is {value!r}, expected a whole number")
        shape.append(value)
    return shape[0], shape[1]


def _numbers(values: Array) -> str:
    return '[' + ', '.join(_number(value) for value in np.ravel(values)) + ']'


def _number(value: float) -> str:
    # YAML 1.1 takes 1e-05 for text, so that every number carries a point.
    text = np.format_float_positional(float(value), trim='0')
    return text if len(text) < 24 else f'{float(value):.16e}'


def _rows(values: Array, indent: str) -> str:
    lines = [', '.join(_number(value) for value in np.ravel(row)) for row in values]
    return '[' + f',\n{indent}'.join(lines) + ']'


def _camera_text(name: str, camera: CameraModel) -> str:
    return (
        f'{name}:\n'
        f'  image_width: {camera.width}\n'
        f'  image_height: {camera.height}\n'
        '  camera_matrix:\n'
        '    rows: 3\n'
        '    cols: 3\n'
        f'    data: {_rows(camera.matrix, " " * 11)}\n'
        f'  distortion_model: {camera.distortion_model}\n'
        '  distortion_coefficients:\n'
        '    rows: 1\n'
        f'    cols: {len(camera.distortion)}\n'
        f'    data: {_numbers(camera.distortion)}\n')


def _deformation_text(deformation: Deformation) -> str:
    text = (
        'deformation:\n'
        f'  rgb_size: [{deformation.rgb_size[0]}, {deformation.rgb_size[1]}]\n'
        f'  thermal_size: [{deformation.thermal_size[0]}, {deformation.thermal_size[1]}]\n'
        '  homography:\n'
        '    rows: 3\n'
        '    cols: 3\n'
        f'    data: {_rows(deformation.homography, " " * 11)}\n'
        f'  confidence: {_number(deformation.confidence)}\n')
    if np.isfinite(deformation.residual_px):
        text += f'  residual_px: {_number(deformation.residual_px)}\n'
    if deformation.grid is not None:
        rows, columns = deformation.grid.shape[:2]
        text += (
            '  grid:\n'
            f'    rows: {rows}\n'
            f'    cols: {columns}\n'
            f'    data: {_rows(np.round(deformation.grid.astype(np.float64), 5), " " * 11)}\n')
    return text
