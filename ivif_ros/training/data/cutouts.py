# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Cut-outs of objects in both images, to be pasted into other pairs.

A folder, or a tar archive of one, with `rgb/<class>/x.jpg` and `thermal/<class>/x.jpg`: the box of
an object, cut from both images and of one size. Cut-outs of FLIR ADAS carry the number of their
frame (`day_train_00356_0`), and RoadScene was made from the same frames: those near a frame that is
not trained on are left out, or training would see what is tested.
"""

from __future__ import annotations

import re
import tarfile
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from ivif_ros.errors import SourceError
from ivif_ros.training.data.labelled import CLASSES, LabelledPair
from ivif_ros.training.data.pairs import to_luma
from ivif_ros.types import Array

FRAMES_APART = 60
"""Frames of FLIR ADAS whose numbers differ by no more may show the same objects (as in
`scripts/make_splits`)."""
_FRAME = re.compile(r'(?:train|val)_(\d{5})_\d+$')
_RIM = 0.12
_MOST_COVERED = 0.15


def frame_number(stem: str) -> int | None:
    """Number of the FLIR ADAS frame that a cut-out is from; None for other names."""
    found = _FRAME.search(stem)
    return int(found.group(1)) if found else None


class Cutouts:
    """Cut-outs by class, kept as files and decoded when they are pasted.

    Args:
        path: folder or tar archive.
        unseen: numbers of FLIR ADAS frames that training must not see.

    Raises:
        SourceError: nothing there, or no cut-out of our classes in it.
    """

    def __init__(self, path: Path, unseen: frozenset[int] = frozenset()) -> None:
        """Read the files."""
        content = _read(path)
        near = {number + step for number in unseen
                for step in range(-FRAMES_APART, FRAMES_APART + 1)}
        self._path = path
        self._files: list[list[tuple[str, bytes, bytes]]] = []
        for name in CLASSES:
            self._files.append([
                (file, content[f'rgb/{name}/{file}'], content[f'thermal/{name}/{file}'])
                for file in sorted(PurePosixPath(key).name for key in content
                                   if key.startswith(f'rgb/{name}/'))
                if f'thermal/{name}/{file}' in content
                and frame_number(PurePosixPath(file).stem) not in near])
        self._known = [index for index, files in enumerate(self._files) if files]
        if not self._known:
            raise SourceError(f"'{path}' has no cut-outs that may be used, expected "
                              f'rgb/<class>/ and thermal/<class>/ for {", ".join(CLASSES)}')

    def counts(self) -> dict[str, int]:
        """Number of cut-outs of each class."""
        return {name: len(files) for name, files in zip(CLASSES, self._files, strict=True)}

    def paste(self, pair: LabelledPair, count: int, scale: float,
              rng: np.random.Generator) -> LabelledPair:
        """Paste cut-outs where they hide little of what is there.

        The rim of a cut-out, which shows its old surroundings, fades into the new ones.

        Args:
            pair: images and boxes; not changed.
            count: how many are tried; those that find no place are left out.
            scale: pixels of the pair for a pixel of a cut-out, varied by a fifth of an octave.
            rng: makes all decisions.

        Returns:
            A copy with the cut-outs and their boxes.

        Raises:
            SourceError: a cut-out that cannot be decoded.
        """
        visible, thermal = pair.visible.copy(), pair.thermal.copy()
        boxes, class_ids = [*pair.boxes], [*pair.class_ids]
        for _ in range(count):
            index = self._known[int(rng.integers(len(self._known)))]
            files = self._files[index]
            colour, warm = self._decode(files[int(rng.integers(len(files)))])
            factor = scale * 2 ** rng.uniform(-0.2, 0.2)
            width, height = (round(side * factor) for side in colour.shape[1::-1])
            room = visible.shape[1] - width, visible.shape[0] - height
            if min(width, height) < 6 or min(room) <= 0:
                continue
            x = int(rng.integers(room[0]))
            # Things stand on the ground: hardly any of them in the upper third.
            y = int(rng.integers(room[1] // 4, max(room[1], room[1] // 4 + 1)))
            box = np.array([x, y, x + width, y + height], np.float32)
            if boxes and _covered(np.array(boxes), box) > _MOST_COVERED:
                continue
            alpha = _fading(width, height)
            if rng.random() < 0.5:
                colour, warm = colour[:, ::-1], warm[:, ::-1]
            for image, patch, weight in ((visible, colour, alpha[..., None]),
                                         (thermal, warm, alpha)):
                small = cv2.resize(patch, (width, height), interpolation=cv2.INTER_AREA)
                part = image[y:y + height, x:x + width]
                part[:] = np.rint(part + weight * (small.astype(np.float32) - part))
            boxes.append(box)
            class_ids.append(np.int64(index))
        return LabelledPair(visible, thermal, np.array(boxes, np.float32).reshape(-1, 4),
                            np.array(class_ids, np.int64))

    def _decode(self, files: tuple[str, bytes, bytes]) -> tuple[Array, Array]:
        name, *contents = files
        images = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
                  for data in contents]
        if images[0] is None or images[1] is None:
            raise SourceError(f"cut-out '{name}' of '{self._path}' cannot be decoded: remove it")
        thermal = to_luma(np.asarray(images[1]))
        colour = np.asarray(images[0])
        if thermal.shape != colour.shape[:2]:
            raise SourceError(f"cut-out '{name}' of '{self._path}' has {colour.shape[:2]} pixels "
                              f'in rgb/ and {thermal.shape} in thermal/, expected the same')
        return colour, thermal


def _read(path: Path) -> dict[str, bytes]:
    """All files below a folder or in an archive by 'sensor/class/name'."""
    try:
        if path.is_dir():
            return {file.relative_to(path).as_posix(): file.read_bytes()
                    for file in path.glob('*/*/*') if file.is_file()}
        found = {}
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    found['/'.join(PurePosixPath(member.name).parts[-3:])] = file.read()
        return found
    except (OSError, tarfile.TarError) as error:
        raise SourceError(f"cut-outs '{path}' cannot be read: {error}") from error


def _covered(boxes: Array, box: Array) -> float:
    """Largest share of one of the boxes (n, 4), or of `box` itself, that the other covers."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.maximum(high - low, 0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return float((shared / np.minimum(areas, (box[2:] - box[:2]).prod())).max())


def _fading(width: int, height: int) -> Array:
    """Weight of a cut-out, (height, width) float32: 1 inside, falling to 0 at the rim."""
    ramps = []
    for length in (height, width):
        centres = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
        ramps.append(np.clip(centres / (_RIM * length), 0, 1).astype(np.float32))
    alpha: Array = ramps[0][:, None] * ramps[1]
    return alpha
