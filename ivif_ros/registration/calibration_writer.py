# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Writing of calibration files that people can read and that do not change when written again."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import numpy as np

from ivif_ros.errors import OutputError
from ivif_ros.registration.calibration import Calibration
from ivif_ros.registration.extrinsics import quaternion_from_matrix
from ivif_ros.registration.rig_words import rig_view
from ivif_ros.types import Array, CameraModel, Deformation

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
#                    thermal_xy = dehomogenise(homography (x, y, 1)) + bilinear(grid)(x, y).
#                    Pixel (0, 0) is the centre of the top left pixel. Used before the others.
#
# Each key may be missing, but not all of them.
"""

_DIGITS = 10
"""Significant digits of a measured homography: far below a thousandth of a pixel."""
_GRID_DECIMALS = 3
_TRUST_DECIMALS = 2


def save_calibration(path: str | os.PathLike[str], calibration: Calibration) -> None:
    """Write a calibration file; an existing one is replaced at once or not at all.

    The text depends on the calibration alone. What is loaded from it and saved again gives the
    same text: numbers of a measured deformation are rounded (homography to 10 digits, grid to
    0.001 px, confidence map to 0.01), those of cameras and extrinsics are not.

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
            f'  xyz: {_list(matrix[:3, 3])}\n'
            f'  quaternion: {_list(quaternion_from_matrix(matrix))}\n')
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


def _camera_text(name: str, camera: CameraModel) -> str:
    return (
        f'{name}:\n'
        f'  image_width: {camera.width}\n'
        f'  image_height: {camera.height}\n'
        f'  camera_matrix:\n{_matrix(camera.matrix)}'
        f'  distortion_model: {camera.distortion_model}\n'
        f'  distortion_coefficients:\n{_matrix(camera.distortion[None])}')


def _deformation_text(deformation: Deformation) -> str:
    (width, height), (columns, rows) = deformation.rgb_size, deformation.thermal_size
    homography = deformation.homography / (deformation.homography[2, 2] or 1.0)
    text = (
        textwrap.fill(f'In words: {rig_view(deformation)}.', 98, initial_indent='# ',
                      subsequent_indent='# ') + '\n'
        'deformation:\n'
        '  # Width and height in pixels of the images that it was measured on. Images of the same\n'
        '  # aspect ratio and another size are taken for resized ones.\n'
        f'  rgb_size: [{width}, {height}]\n'
        f'  thermal_size: [{columns}, {rows}]\n'
        '  # RGB pixel (x, y, 1) -> thermal pixel (u, v, w) up to scale, row by row.\n'
        f'  homography:\n{_matrix(homography, _DIGITS)}'
        '  # Trust in it, 0 to 1.\n'
        f'  confidence: {_decimals(deformation.confidence, 4)}\n')
    if np.isfinite(deformation.residual_px):
        text += (
            '  # Error to expect of an image, parallax included, in RGB pixels.\n'
            f'  residual_px: {_decimals(deformation.residual_px, 3)}\n')
    if deformation.grid is not None:
        text += (
            '  # What the homography leaves (lenses), in thermal pixels: x, y of one node after\n'
            '  # the other, a row of nodes a line. The outer nodes stand on the outer pixels.\n'
            '  grid:\n'
            f'    rows: {deformation.grid.shape[0]}\n'
            f'    cols: {deformation.grid.shape[1]}\n'
            f'    data: {_rounded_rows(deformation.grid, _GRID_DECIMALS)}\n')
    if deformation.confidence_map is not None:
        text += (
            '  # Trust in each place, on nodes like those of the grid.\n'
            '  confidence_map:\n'
            f'    rows: {deformation.confidence_map.shape[0]}\n'
            f'    cols: {deformation.confidence_map.shape[1]}\n'
            f'    data: {_rounded_rows(deformation.confidence_map, _TRUST_DECIMALS)}\n')
    return text


def _matrix(values: Array, digits: int | None = None) -> str:
    """Rows, columns and data as camera_calibration writes them, a row a line."""
    lines = [', '.join(_number(value, digits) for value in row) for row in values]
    data = f',\n{" " * 11}'.join(lines)
    return f'    rows: {values.shape[0]}\n    cols: {values.shape[1]}\n    data: [{data}]\n'


def _rounded_rows(values: Array, decimals: int) -> str:
    lines = [', '.join(_decimals(value, decimals) for value in np.ravel(row)) for row in values]
    return '[' + f',\n{" " * 11}'.join(lines) + ']'


def _list(values: Array) -> str:
    return '[' + ', '.join(_number(value) for value in np.ravel(values)) + ']'


def _number(value: float, digits: int | None = None) -> str:
    # YAML 1.1 takes 1e-05 for text, so that every number carries a point.
    text = np.format_float_positional(
        float(value) + 0.0, precision=digits, unique=digits is None, fractional=False, trim='0')
    return text if len(text) < 24 else f'{float(value):.{(digits or 17) - 1}e}'


def _decimals(value: float, decimals: int) -> str:
    # Adding zero turns -0.0 into 0.0.
    return f'{round(float(value), decimals) + 0.0:.{decimals}f}'
