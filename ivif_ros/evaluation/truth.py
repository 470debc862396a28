# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Where each RGB pixel really lies in the thermal image, for pairs of which that is known.

The truth about a recording is a file of `ivif import` (see `bags/truth_file.py`) or a calibration
file with a deformation. The truth about single pairs is a folder with `<stem>.npz` of
`ivif sim --pairs` (array `map`), or a JSON file with, for each stem,

    {"<stem>": {"H_crop_to_raw": 3x3, "crop_wh": [w, h]}, ...}

H_crop_to_raw maps pixels (x, y) of the RGB image, resized to crop_wh, to pixels of the thermal
image. Pixel (0, 0) is the centre of the first pixel, and resizing keeps the outer edges.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ivif_ros.bags.truth_file import KnownSource, load_truth
from ivif_ros.errors import CalibrationError, SourceError
from ivif_ros.frame_source import FrameSource
from ivif_ros.registration import dense_map
from ivif_ros.types import Array, Deformation, Size

HOMOGRAPHY, CROP = 'H_crop_to_raw', 'crop_wh'


class RegistrationTruth:
    """The truth about pairs by their names, or by their stamps where a source knows it.

    Args:
        path: `--truth`; None for none.

    Raises:
        SourceError: it cannot be read or is no truth.
    """

    def __init__(self, path: Path | None) -> None:
        """Read what is small; maps are read when they are asked for."""
        self._path = path
        self._maps: dict[str, Path] = {}
        self._table: dict[str, Any] = {}
        self._whole = False
        self._known: FrameSource | None = None
        if path is None:
            return
        if path.is_dir():
            self._maps = {file.stem: file for file in path.glob('*.npz')}
            if not self._maps:
                raise SourceError(f"truth '{path}' is a folder without <stem>.npz")
            return
        if not path.is_file():
            raise SourceError(f"truth '{path}' is not there")
        self._table = _table(path)
        self._whole = not self._table
        if self._whole:
            load_truth(path)  # complains now, not after minutes

    def attach(self, source: FrameSource, beside: Path | None = None) -> None:
        """Use what is known about a stream from now on.

        Args:
            source: the stream; where it knows the truth itself, that is used.
            beside: truth file of the stream, used where none was given.
        """
        path = self._path if self._whole else beside
        self._known = source if path is None else KnownSource(source, load_truth(path))

    @property
    def names(self) -> frozenset[str]:
        """Stems of the pairs that are known by name."""
        return frozenset(self._table) | frozenset(self._maps)

    def true_map(self, name: str, stamp_ns: int, rgb_size: Size,
                 thermal_size: Size) -> Array | None:
        """Where each RGB pixel lies in the thermal image.

        Args:
            name: stem of the pair; empty in a stream.
            stamp_ns: of the RGB image.
            rgb_size: width, height of the RGB image.
            thermal_size: width, height of the thermal image.

        Returns:
            (H, W, 2) thermal x, y of each RGB pixel, NaN where there is none; None where the truth
            is not known.

        Raises:
            SourceError: the truth of this pair cannot be read or is for an image of another size.
        """
        if name in self._maps:
            found = _stored_map(self._maps[name])
        elif name in self._table:
            found = _homography_map(self._table[name], name, rgb_size, thermal_size)
        else:
            known = None if self._known is None else self._known.true_map(stamp_ns)
            if known is None:
                return None
            found = known
        if found.shape != (rgb_size[1], rgb_size[0], 2):
            raise SourceError(
                f"the true map of pair '{name or stamp_ns}' is {found.shape[1]}x{found.shape[0]}, "
                f'the RGB image {rgb_size[0]}x{rgb_size[1]}')
        return found


def _table(path: Path) -> dict[str, Any]:
    """Read a table of homographies; empty where the file is of another kind."""
    if path.suffix.lower() != '.json':
        return {}
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise SourceError(f"truth '{path}' cannot be read: {error}") from error
    if not isinstance(content, dict):
        return {}
    return {name: entry for name, entry in content.items()
            if isinstance(entry, dict) and HOMOGRAPHY in entry}


def _homography_map(entry: dict[str, Any], name: str, rgb_size: Size, thermal_size: Size) -> Array:
    try:
        width, height = entry[CROP]
        to_crop = Deformation.stretch(rgb_size, (int(width), int(height))).homography
        return dense_map(Deformation(
            rgb_size, thermal_size, np.array(entry[HOMOGRAPHY], np.float64) @ to_crop))
    except (KeyError, TypeError, ValueError, CalibrationError) as error:
        raise SourceError(f"the truth of pair '{name}' cannot be used ({error}), expected "
                          f'{HOMOGRAPHY} (3x3) and {CROP}') from error


def _stored_map(path: Path) -> Array:
    try:
        with np.load(path) as content:
            stored: Array = content['map']
            return stored
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SourceError(f"true map '{path}' cannot be read: {error}") from error
