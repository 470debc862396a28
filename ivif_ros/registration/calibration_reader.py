# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Reading of calibration files: YAML in the style of ROS camera_calibration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ivif_ros.errors import CalibrationError
from ivif_ros.registration.calibration import Calibration
from ivif_ros.registration.extrinsics import check_rigid, matrix_from_quaternion
from ivif_ros.types import Array, CameraModel, Deformation, DeformationSource

_KEYS = ('rgb', 'thermal', 'thermal_from_rgb', 'deformation')


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
    trust = None
    if content.get('confidence_map') is not None:
        trust = _matrix(content['confidence_map'], f'{key}.confidence_map', None)
    homography = _matrix(_entry(content, 'homography', key), f'{key}.homography', (3, 3))
    confidence = float(_list([content.get('confidence', 1.0)], f'{key}.confidence', 1)[0])
    residual = (float('nan') if content.get('residual_px') is None
                else _list([content['residual_px']], f'{key}.residual_px', 1)[0])
    try:
        return Deformation(
            (int(sizes[0][0]), int(sizes[0][1])), (int(sizes[1][0]), int(sizes[1][1])), homography,
            grid, confidence, float(residual), DeformationSource.CALIBRATION, trust)
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
