# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Registered pairs of images with the boxes of their objects.

Labels are YOLO texts (`ivif_ros.detection.yolo_text`) of the classes in `CLASSES`:
`labels/<stem>.txt` in the folder of a data set, beside `rgb/` and `thermal/`, and for pairs without
one `<stem>.txt` in another folder, `LABELS/<data set>/`, where
`python -m ivif_ros.training.pseudo_labels` writes what teachers agree on. Pairs without a label of
either kind are left out: nobody knows what they show. Beside a pseudo-label, `<stem>.doubt.txt`
has the places where teachers did not agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from ivif_ros.detection.yolo_text import read_boxes, read_classes
from ivif_ros.errors import SourceError
from ivif_ros.image_file import decode_image
from ivif_ros.training.data.pairs import (
    Pair,
    PairFiles,
    check_sizes,
    find_datasets,
    list_pairs,
    to_luma,
)
from ivif_ros.training.data.splits import Split
from ivif_ros.types import Array

CLASSES = ('person', 'bicycle', 'car')
"""What our detector finds, by class id (the first three of COCO)."""

DOUBT_SUFFIX = '.doubt.txt'
"""End of the name of a file of doubtful places, after the stem."""


@dataclass(frozen=True, eq=False)
class LabelledPair:
    """Two registered images and their objects.

    Attributes:
        visible: (H, W, 3) uint8 BGR.
        thermal: (H, W) uint8, warm is bright.
        boxes: (n, 4) float32 x0, y0, x1, y1 in pixels, counted from the outer edge of the first
            pixel: the whole image is 0, 0, W, H.
        class_ids: (n,) int64, index into CLASSES.
    """

    visible: Array
    thermal: Array
    boxes: Array
    class_ids: Array


class LabelledSource(Protocol):
    """Where labelled pairs come from.

    Attributes:
        name: name of the data set.
    """

    name: str

    def __len__(self) -> int:
        """Return the number of pairs."""

    def __getitem__(self, index: int) -> LabelledPair:
        """Return pair `index`."""


class LabelledPairs:
    """The stills of one data set that have a label, in the order of their stems.

    Args:
        name: name of the data set.
        folder: its folder, with `rgb/`, `thermal/` and perhaps `labels/`.
        split: only pairs of this split; None for all.
        more_labels: folder of further labels `<stem>.txt`, used where `labels/` has none.
        cache_mb: memory for decoded images in MB; what does not fit is decoded each time.
        hide_doubt: paint over doubtful places, so that a detector learns nothing about them.

    Attributes:
        name: name of the data set.
        files: files of the pairs.
        labels: label of each of them.

    Raises:
        SourceError: files without partners, or labels of other classes than CLASSES.
    """

    def __init__(self, name: str, folder: Path, split: Split | None = None,
                 more_labels: Path | None = None, cache_mb: float = 500.0,
                 hide_doubt: bool = False) -> None:
        """List the files; no image is read yet."""
        self.name = name
        self._hide_doubt = hide_doubt
        self.files: list[PairFiles] = []
        self.labels: list[Path] = []
        self._budget = round(cache_mb * 1e6)
        self._kept: dict[int, LabelledPair] = {}
        folders = [path for path in (folder / 'labels', more_labels)
                   if path is not None and path.is_dir()]
        for path in folders:
            check_classes(path)
        for files in list_pairs(name, folder, split):
            label = next((path / f'{files.stem}.txt' for path in folders
                          if (path / f'{files.stem}.txt').is_file()), None)
            if label is not None and not files.is_video:
                self.files.append(files)
                self.labels.append(label)

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.files)

    def __getitem__(self, index: int) -> LabelledPair:
        """Decode pair `index` and read its label.

        Raises:
            SourceError: a file that cannot be read, images of different sizes, a label that cannot
                be used, or a class that is not in CLASSES.
        """
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        label = self.labels[index]
        pair = read_labelled(self.files[index], label)
        doubt = label.with_name(f'{label.stem}{DOUBT_SUFFIX}')
        if self._hide_doubt and doubt.is_file():
            high, wide = pair.thermal.shape
            pair = hidden(pair, read_boxes(doubt, (wide, high))[0])
        size = pair.visible.nbytes + pair.thermal.nbytes
        if self._budget >= size:
            self._budget -= size
            self._kept[index] = pair
        return pair


def check_classes(folder: Path) -> None:
    """Check that the labels of a folder are of our classes, where a file there names theirs.

    Raises:
        SourceError: they are of others.
    """
    names = read_classes(folder)
    if names and names != CLASSES:
        raise SourceError(f"labels '{folder}' are of the classes {', '.join(names)}, expected "
                          f"{', '.join(CLASSES)} in this order: renumber them")


def read_labelled(files: PairFiles, label: Path) -> LabelledPair:
    """Decode a pair of stills and read its label.

    Raises:
        SourceError: as `LabelledPairs.__getitem__`.
    """
    visible, thermal = read_images(files)
    boxes, class_ids = read_boxes(label, (thermal.shape[1], thermal.shape[0]))
    if len(class_ids) and class_ids.max() >= len(CLASSES):
        raise SourceError(f"label '{label}' has class {class_ids.max()}, expected 0 to "
                          f"{len(CLASSES) - 1} ({', '.join(CLASSES)})")
    return LabelledPair(visible, thermal, boxes, class_ids)


def read_images(files: PairFiles) -> tuple[Array, Array]:
    """Decode a pair of stills in colour.

    Returns:
        (H, W, 3) uint8 BGR, and (H, W) uint8 thermal.

    Raises:
        SourceError: a file that cannot be read, or images of different sizes.
    """
    visible = decode_image(files.visible, cv2.IMREAD_COLOR)
    thermal = to_luma(decode_image(files.thermal, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH))
    check_sizes(Pair(visible[..., 0], thermal), files)
    return visible, thermal


def hidden(pair: LabelledPair, places: Array) -> LabelledPair:
    """Paint over places in both images, except for what lies in the boxes of objects.

    Args:
        pair: images and boxes; not changed.
        places: (k, 4) x0, y0, x1, y1 in pixels.

    Returns:
        A pair whose places have the mean colour of what was there.
    """
    visible, thermal = pair.visible.copy(), pair.thermal.copy()
    for box in places:
        part = _slices(box)
        for image in (visible, thermal):
            image[part] = image[part].mean(axis=(0, 1)).round()
    for box in pair.boxes:
        part = _slices(box)
        visible[part], thermal[part] = pair.visible[part], pair.thermal[part]
    return LabelledPair(visible, thermal, pair.boxes, pair.class_ids)


def _slices(box: Array) -> tuple[slice, slice]:
    """Rows and columns that a box touches."""
    x0, y0 = (int(value) for value in np.floor(box[:2]))
    x1, y1 = (int(value) for value in np.ceil(box[2:]))
    return slice(y0, max(y1, y0 + 1)), slice(x0, max(x1, x0 + 1))


def labelled_datasets(root: Path | str, split: Split | None, names: Sequence[str] = (),
                      more_labels: Path | None = None, cache_mb: float = 500.0,
                      hide_doubt: bool = False) -> list[LabelledPairs]:
    """List the labelled pairs below a folder, a source for each data set that has some.

    Args:
        root: folder of data sets, or one data set.
        split: only pairs of this split; None for all.
        names: as in `find_datasets`.
        more_labels: folder with a folder of labels for each data set, or None.
        cache_mb: memory for decoded images of all sources together in MB.
        hide_doubt: see `LabelledPairs`.

    Raises:
        SourceError: no data sets, or no pair of the split has a label.
    """
    if more_labels is not None and not more_labels.is_dir():
        raise SourceError(f"labels '{more_labels}' are not a folder; python -m "
                          'ivif_ros.training.pseudo_labels writes such folders')
    folders = find_datasets(root, names)
    sources = [LabelledPairs(name, folder, split, more_labels and more_labels / name,
                             cache_mb / len(folders), hide_doubt)
               for name, folder in folders.items()]
    sources = [source for source in sources if len(source)]
    if not sources:
        raise SourceError(
            f"data '{root}' ({', '.join(folders)}) have no labelled pair"
            f"{f' of the split {split}' if split else ''}: expected labels/STEM.txt beside rgb/ "
            'and thermal/ (YOLO text), or pseudo-labels')
    return sources
