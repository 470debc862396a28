# Copyright 2026 ivif_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of rigs that are not aligned, with the truth: recorded ones and simulated ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from ivif_ros.errors import SourceError
from ivif_ros.image_file import decode_image
from ivif_ros.simulation import RigConfig, SimulatedRig
from ivif_ros.simulation.config import LIGHTINGS
from ivif_ros.training.data.pairs import Pair, to_luma
from ivif_ros.training.data.splits import SPLITS, Split, split_of
from ivif_ros.types import Array, Deformation

RAW = 'roadscene_raw'
"""Folder of recorded pairs with `truth.json`; its scenes, and so its splits, are those of
`roadscene`."""
_LARGEST = 640
_INSTANTS = 6
_APART_S = 1.7
_SEEDS_PER_SPLIT = 100_000
_FIRST_SEED = 50_000
"""Streets of these seeds are others than those that the fusion networks are trained on."""


@dataclass(frozen=True, eq=False)
class RigPair:
    """Two images of a rig.

    Attributes:
        visible: (H, W) uint8 luma.
        thermal: (h, w) uint8.
        homography: (3, 3) RGB pixel -> thermal pixel, of the scene as a whole.
        truth: (H, W, 2) float32 thermal pixel of each RGB pixel, NaN where hidden; None where the
            homography is the truth.
    """

    visible: Array
    thermal: Array
    homography: Array
    truth: Array | None = None


def registered(pair: Pair) -> RigPair:
    """A registered pair as one of a rig."""
    return RigPair(pair.visible, pair.thermal, np.eye(3))


def recorded_rigs(root: Path, split: Split) -> list[RigPair]:
    """Read the recorded pairs of a split, made at most 640 wide.

    Args:
        root: folder of data sets.
        split: which pairs.

    Returns:
        None at all where there is no such folder.

    Raises:
        SourceError: a truth that cannot be read or lacks a pair, or an image that cannot be read.
    """
    path = root / RAW / 'truth.json'
    if not path.is_file():
        return []
    try:
        table = json.loads(path.read_text(encoding='utf-8'))
        return list(_recorded(root / RAW, table, split))
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"truth '{path}' cannot be used ({error!r}), expected for each stem "
                          'H_crop_to_raw (3x3) and crop_wh') from error


def _recorded(folder: Path, table: dict[str, dict[str, list[float]]],
              split: Split) -> Iterator[RigPair]:
    for path in sorted((folder / 'rgb').iterdir()):
        if split_of('roadscene', path.stem) != split:
            continue
        partner = next(iter((folder / 'thermal').glob(path.stem + '.*')), None)
        if partner is None:
            raise SourceError(f"'{path}' has no partner of the same name in '{folder}/thermal'")
        visible = to_luma(decode_image(path, cv2.IMREAD_COLOR))
        thermal = to_luma(decode_image(partner, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH))
        entry = table[path.stem]
        height, width = visible.shape
        size = (_LARGEST, round(_LARGEST * height / width))
        small = np.asarray(cv2.resize(visible, size, interpolation=cv2.INTER_AREA))
        crop = int(entry['crop_wh'][0]), int(entry['crop_wh'][1])
        to_crop = Deformation.stretch(size, crop).homography
        yield RigPair(small, thermal, np.array(entry['H_crop_to_raw']) @ to_crop)


@cache
def simulated_rigs(streets: int, split: Split) -> tuple[RigPair, ...]:
    """Render streets as seen by rigs of different geometry; some seconds each, once in a process.

    Args:
        streets: number of streets, one rig each.
        split: each split has streets of its own.
    """
    first = SPLITS.index(split) * _SEEDS_PER_SPLIT + _FIRST_SEED
    return tuple(pair for seed in range(first, first + streets) for pair in _street(seed))


def _street(seed: int) -> Iterator[RigPair]:
    rng = np.random.default_rng(seed)
    fov = rng.uniform(45, 75)
    rig = SimulatedRig(RigConfig(
        seed=seed, lighting=LIGHTINGS[seed % len(LIGHTINGS)], rgb_size=(640, 480),
        thermal_size=((320, 256), (640, 512))[int(rng.integers(2))], rgb_fov_deg=fov,
        thermal_fov_deg=fov * rng.uniform(0.75, 1.1), baseline_m=rng.uniform(-0.2, 0.2),
        thermal_rotation_deg=tuple(rng.normal(0, 0.7, 3)), ego_speed_mps=rng.uniform(0, 8),
        traffic=rng.uniform(1, 2)))
    for instant in range(_INSTANTS):
        t = 1 + instant * _APART_S
        truth = rig.true_map(t)
        visible = to_luma(rig.render_rgb(t))
        thermal = to_luma(rig.render_thermal(t))
        homography = _global_map(truth)
        if homography is not None:
            yield RigPair(visible, thermal, homography, truth)


def _global_map(truth: Array) -> Array | None:
    """Homography of most of a scene; None where hardly anything is seen by both cameras."""
    rows, columns = np.mgrid[4:truth.shape[0]:8, 4:truth.shape[1]:8]
    target = truth[rows, columns].reshape(-1, 2)
    seen = np.isfinite(target).all(axis=1)
    if seen.sum() < 100:
        return None
    source = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32)
    homography, _ = cv2.findHomography(source[seen], target[seen], cv2.RANSAC, 3.0)
    return None if homography is None else np.asarray(homography)
