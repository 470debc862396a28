# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Boxes of an image in a text file, as YOLO has them.

A line is an object: class id, centre x, centre y, width, height; coordinates count from the outer
edge of the first pixel, in widths and heights of the image. An empty file is an image without
objects. `classes.txt` beside the files names the classes, one a line, class 0 first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ivif_ros.errors import OutputError, SourceError
from ivif_ros.types import Array, Size

CLASSES_FILE = 'classes.txt'
"""Names of the classes beside the labels."""
_DECIMALS = 6


def read_boxes(path: Path, size: Size) -> tuple[Array, Array]:
    """Read the objects of an image; what reaches beyond the image is cut off.

    Args:
        path: text file.
        size: width, height of the image in pixels.

    Returns:
        Boxes (n, 4) float32 x0, y0, x1, y1 in pixels from outer edge to outer edge, and class ids
        (n,) int64.

    Raises:
        SourceError: a file that cannot be read, a line that is no object, or a box whose centre is
            outside the image.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"label '{path}' cannot be read: {error}") from error
    rows = [_numbers(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    table = np.array(rows, np.float64).reshape(-1, 5)
    centre, half = table[:, 1:3], table[:, 3:5] / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1).clip(0, 1) * (size + size)
    return boxes.astype(np.float32), table[:, 0].astype(np.int64)


def _numbers(path: Path, number: int, line: str) -> list[float]:
    """Read a line of five numbers."""
    place = f"label '{path}', line {number}"
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        values = []
    if len(values) != 5 or not np.isfinite(values).all():
        raise SourceError(f"{place} is '{line.strip()}', expected five numbers: class, centre x, "
                          'centre y, width, height')
    if values[0] < 0 or values[0] != int(values[0]):
        raise SourceError(f'{place} has class {values[0]:g}, expected a whole number from 0 on')
    if not (0 <= values[1] <= 1 and 0 <= values[2] <= 1):
        raise SourceError(f'{place} has its centre at ({values[1]:g}, {values[2]:g}), outside the '
                          'image: expected 0..1, in widths and heights of the image')
    if min(values[3:]) <= 0 or max(values[3:]) > 1:
        raise SourceError(f'{place} is {values[3]:g} wide and {values[4]:g} high, expected more '
                          'than 0 and at most 1, in widths and heights of the image')
    return values


def write_boxes(path: Path, boxes: Array, class_ids: Array, size: Size) -> None:
    """Write the objects of an image.

    Args:
        path: text file to make or replace.
        boxes: (n, 4) x0, y0, x1, y1 in pixels from outer edge to outer edge, within the image.
        class_ids: (n,) whole numbers.
        size: width, height of the image in pixels.

    Raises:
        OutputError: the file cannot be written.
    """
    scaled = np.asarray(boxes, np.float64).reshape(-1, 4) / (size + size)
    low, high = scaled[:, :2], scaled[:, 2:]
    table = np.concatenate([(low + high) / 2, high - low], axis=1)
    lines = [' '.join([str(int(kind)), *(f'{value:.{_DECIMALS}f}' for value in row)])
             for kind, row in zip(class_ids, table, strict=True)]
    _write(path, lines)


def read_classes(folder: Path) -> tuple[str, ...]:
    """Names of the classes of the labels in a folder, by id; none where nothing says them.

    Raises:
        SourceError: a file of names that cannot be read.
    """
    path = folder / CLASSES_FILE
    if not path.is_file():
        return ()
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"names of classes '{path}' cannot be read: {error}") from error
    return tuple(line.strip() for line in lines if line.strip())


def write_classes(folder: Path, names: Sequence[str]) -> None:
    """Write the names of the classes, class 0 first.

    Raises:
        OutputError: the file cannot be written.
    """
    _write(folder / CLASSES_FILE, names)


def _write(path: Path, lines: Sequence[str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')
    except OSError as error:
        raise OutputError(f"'{path}' cannot be written: {error}") from error
