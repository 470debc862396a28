# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Folders of registered pairs of images, decoded to luma planes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ivif_ros.errors import SourceError
from ivif_ros.image_file import STILL_SUFFIXES, VIDEO_SUFFIXES, decode_image
from ivif_ros.training.data.splits import Split, known_datasets, split_of
from ivif_ros.types import Array


class Pair(NamedTuple):
    """Two registered images.

    Attributes:
        visible: (H, W) uint8 luma (BT.601).
        thermal: (H, W) uint8, warm is bright.
    """

    visible: Array
    thermal: Array


@dataclass(frozen=True)
class PairFiles:
    """Two files of the same stem.

    Attributes:
        dataset: name of the data set.
        stem: file name without suffix.
        visible: file in `rgb/`.
        thermal: file in `thermal/`.
    """

    dataset: str
    stem: str
    visible: Path
    thermal: Path

    @property
    def is_video(self) -> bool:
        """Whether the files are videos."""
        return self.visible.suffix.lower() in VIDEO_SUFFIXES


class Cache:
    """Decoded pairs, the least recently used given up first beyond a budget.

    Args:
        budget_mb: memory in MB (1e6 bytes).
    """

    def __init__(self, budget_mb: float) -> None:
        """Start empty."""
        self.budget = round(budget_mb * 1e6)
        self.used = 0
        self._pairs: OrderedDict[Path, Pair] = OrderedDict()

    @property
    def full(self) -> bool:
        """Whether something would have to be given up for another pair."""
        return self.used >= self.budget

    def load(self, files: PairFiles) -> Pair:
        """Return a pair of stills, decoded at most once as long as it is kept."""
        pair = self._pairs.get(files.visible)
        if pair is not None:
            self._pairs.move_to_end(files.visible)
            return pair
        pair = read_pair(files)
        self._pairs[files.visible] = pair
        self.used += _size(pair)
        while self.used > self.budget and len(self._pairs) > 1:
            self.used -= _size(self._pairs.popitem(last=False)[1])
        return pair


def _size(pair: Pair) -> int:
    return pair.visible.nbytes + pair.thermal.nbytes


def find_datasets(root: Path | str, names: Sequence[str] = ()) -> dict[str, Path]:
    """Find the data sets below a folder, or the folder itself where it has `rgb/`.

    Args:
        root: folder of data sets, or one data set.
        names: data sets that are wanted; none for all with a list of splits or, where none has
            one, for all.

    Returns:
        Name -> folder, in alphabetical order.

    Raises:
        SourceError: no such folder, or nothing of what is wanted is in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise SourceError(f"training data '{root}' is not a folder")
    if _is_dataset(root):
        found = {root.resolve().name: root}
    else:
        found = {path.name: path for path in sorted(root.iterdir()) if _is_dataset(path)}
    if missing := [name for name in names if name not in found]:
        raise SourceError(f"training data '{root}' has no data set '{missing[0]}' (a folder with "
                          f"rgb/ and thermal/); there are: {', '.join(found) or 'none'}")
    if not found:
        raise SourceError(f"training data '{root}' has no folders rgb/ and thermal/, and no folder "
                          'in it has them')
    listed = [name for name in found if name in known_datasets()]
    return {name: found[name] for name in names or listed or found}


def _is_dataset(path: Path) -> bool:
    return (path / 'rgb').is_dir() and (path / 'thermal').is_dir()


def list_pairs(dataset: str, folder: Path, split: Split | None = None) -> list[PairFiles]:
    """List the pairs of a data set, stills and videos, in the order of their stems.

    Args:
        dataset: name of the data set.
        folder: its folder.
        split: only those of this split; None for all.

    Raises:
        SourceError: a file without a partner of the same stem, two files of one stem, an image
            whose partner is a video, or no file at all.
    """
    visible, thermal = _stems(folder / 'rgb'), _stems(folder / 'thermal')
    if alone := sorted(visible.keys() ^ thermal.keys()):
        stem = alone[0]
        there, missing = ('rgb', 'thermal') if stem in visible else ('thermal', 'rgb')
        more = f' ({len(alone)} such files)' if len(alone) > 1 else ''
        raise SourceError(f"'{folder / there / stem}' has no partner of the same name in "
                          f"'{folder / missing}'{more}: add it or remove the file")
    if not visible:
        raise SourceError(f"data set '{folder}' has no images or videos in rgb/ and thermal/")
    pairs = [PairFiles(dataset, stem, visible[stem], thermal[stem]) for stem in sorted(visible)]
    for pair in pairs:
        if pair.is_video != (pair.thermal.suffix.lower() in VIDEO_SUFFIXES):
            raise SourceError(f"'{pair.visible}' and '{pair.thermal}' are an image and a video: "
                              'expected two of a kind')
    return [pair for pair in pairs if split is None or split_of(dataset, pair.stem) == split]


def _stems(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in STILL_SUFFIXES | VIDEO_SUFFIXES:
            continue
        if path.stem in files:
            raise SourceError(f"'{files[path.stem]}' and '{path}' have the same name: a pair is "
                              'found by its name without suffix')
        files[path.stem] = path
    return files


def read_pair(files: PairFiles) -> Pair:
    """Decode two images.

    Raises:
        SourceError: a file that cannot be read or decoded, or images of different sizes.
    """
    pair = Pair(
        to_luma(decode_image(files.visible, cv2.IMREAD_COLOR)),
        to_luma(decode_image(files.thermal, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)))
    check_sizes(pair, files)
    return pair


def check_sizes(pair: Pair, files: PairFiles) -> None:
    """Check that two images may lie on one grid.

    Raises:
        SourceError: they differ in size.
    """
    if pair.visible.shape != pair.thermal.shape:
        (high, wide), (h, w) = pair.visible.shape, pair.thermal.shape
        raise SourceError(f"'{files.visible}' has {wide}x{high} pixels and '{files.thermal}' "
                          f'{w}x{h}: training needs registered pairs of one size')


def to_luma(image: Array) -> Array:
    """Bring an image to one plane of 8 bits.

    Colour becomes luma (BT.601). Images of more than 8 bits (thermal counts, temperatures) are
    stretched between their first and their 99th percentile, and NaN becomes black.

    Args:
        image: (H, W), or (H, W, 3) BGR; uint8, uint16 or float.

    Returns:
        (H, W) uint8.
    """
    if image.ndim == 3:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    if image.dtype == np.uint8:
        return image
    values = image.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(image.shape, np.uint8)
    low, high = np.percentile(values[finite], (1, 99))
    scaled = (values - low) * (255 / max(float(high - low), 1e-6))
    levels: Array = np.clip(np.nan_to_num(scaled), 0, 255).round().astype(np.uint8)
    return levels


def whole_pairs(root: Path | str, split: Split, datasets: Sequence[str] = (),
                most: int = 0) -> Iterator[tuple[PairFiles, Pair]]:
    """Decode the stills of a split, whole, one after the other.

    Args:
        root: folder of data sets, or one data set.
        split: which pairs.
        datasets: as in `find_datasets`.
        most: at most this many of each data set, spread evenly; 0 for all.

    Yields:
        The files and the images.

    Raises:
        SourceError: as `find_datasets`, `list_pairs` and `read_pair`.
    """
    for name, folder in find_datasets(root, datasets).items():
        stills = [files for files in list_pairs(name, folder, split) if not files.is_video]
        if most and len(stills) > most:
            stills = [stills[i * len(stills) // most] for i in range(most)]
        for files in stills:
            yield files, read_pair(files)


def validation_pairs(root: Path | str, datasets: Sequence[str],
                     most: int) -> dict[str, list[tuple[PairFiles, Pair]]]:
    """Decode the stills of the validation split, by data set; arguments as of `whole_pairs`.

    Raises:
        SourceError: as `whole_pairs`, or no validation pairs at all.
    """
    found: dict[str, list[tuple[PairFiles, Pair]]] = {}
    for files, pair in whole_pairs(root, 'validation', datasets, most):
        found.setdefault(files.dataset, []).append((files, pair))
    if not found:
        raise SourceError(f"training data '{root}' has no still pairs of the validation split: "
                          'add pairs (about a tenth of them becomes validation)')
    return found
