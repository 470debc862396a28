# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""True boxes of images, from YOLO text files or from the truth of the simulator.

Boxes are x0, y0, x1, y1 in RGB pixels counted from the outer edge of the first pixel, as detectors
give them: the whole image is 0, 0, W, H. YOLO text has that convention (centre and size, in widths
and heights of the image). `ivif sim --pairs` counts from the centre of the first pixel, so that its
boxes are moved by half a pixel.

The label of a pair has the stem of its image files; in a recording, the stamp of the RGB image in
nanoseconds.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ivif_ros.detection.yolo_text import CLASSES_FILE, read_boxes, read_classes
from ivif_ros.errors import SourceError
from ivif_ros.types import Array, Size

SIMULATION = 'simulation.json'
"""Names of the classes beside (or above) the truth of the simulator."""
MIN_VISIBILITY = 0.25
"""Simulated objects of which less can be seen are no objects to be found."""


@dataclass(frozen=True, eq=False)
class TrueObjects:
    """The objects of one image.

    Attributes:
        boxes: (n, 4) float32, see the module.
        class_ids: (n,) int64 of the labels.
    """

    boxes: Array
    class_ids: Array


class Labels:
    """A folder of labels.

    Args:
        folder: `<stem>.txt` in YOLO's format or `<stem>.npz` of `ivif sim --pairs`.

    Attributes:
        folder: the folder.
        names: class id -> name, where a file beside the labels says so; else empty.

    Raises:
        SourceError: no such folder, or no label in it.
    """

    def __init__(self, folder: Path) -> None:
        """List the files."""
        self.folder = folder
        if not folder.is_dir():
            raise SourceError(f"folder of labels '{folder}' is not there")
        self._files = {file.stem: file for file in sorted(folder.iterdir())
                       if file.suffix in ('.txt', '.npz') and file.name != CLASSES_FILE}
        if not self._files:
            raise SourceError(f"'{folder}' holds no labels, expected <stem>.txt in YOLO's format "
                              "or <stem>.npz of 'ivif sim --pairs'")
        self.names = _names(folder)

    @property
    def stems(self) -> frozenset[str]:
        """Names of the pairs that have a label."""
        return frozenset(self._files)

    def class_ids(self) -> frozenset[int]:
        """All class ids that occur.

        Raises:
            SourceError: a label cannot be read.
        """
        return frozenset(int(value) for stem in self._files
                         for value in self.read(stem, (1, 1)).class_ids)

    def read(self, stem: str, size: Size) -> TrueObjects:
        """Read the label of one pair.

        Args:
            stem: one of `stems`.
            size: width, height of the RGB image in pixels.

        Raises:
            SourceError: the file cannot be read or is no label.
        """
        file = self._files[stem]
        try:
            return (_simulated(file) if file.suffix == '.npz' else
                    TrueObjects(*read_boxes(file, size)))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise SourceError(f"label '{file}' cannot be used ({error}); expected what "
                              "'ivif sim --pairs' writes") from error

    def check_match(self, stems: Iterable[str]) -> None:
        """Make sure that at least one pair has a label.

        Raises:
            SourceError: none has.
        """
        stems = list(stems)
        if not self.stems.intersection(stems):
            ours, theirs = (', '.join(sorted(names)[:3]) or 'none'
                            for names in (self.stems, stems))
            raise SourceError(
                f"no label of '{self.folder}' ({ours}, ...) matches a pair ({theirs}, ...): a "
                'label has the stem of the image files, or the stamp of the RGB image in '
                'nanoseconds')


def _simulated(file: Path) -> TrueObjects:
    with np.load(file) as content:
        seen = content['visibility'] >= MIN_VISIBILITY
        return TrueObjects(content['boxes'][seen].astype(np.float32).reshape(-1, 4) + 0.5,
                           content['class_ids'][seen].astype(np.int64))


def _names(folder: Path) -> dict[int, str]:
    """Read the names of the classes; none where nothing says them."""
    listed = read_classes(folder)
    if listed:
        return dict(enumerate(listed))
    try:
        for file in (folder / SIMULATION, folder.parent / SIMULATION):
            if file.is_file():
                names = json.loads(file.read_text(encoding='utf-8'))['class_names']
                return {int(key): str(name) for key, name in names.items()}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise SourceError(f"names of the classes of '{folder}' cannot be read: {error}") from error
    return {}
